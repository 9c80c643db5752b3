"""The client of OpenAI-compatible services, and its errors as failures of a call; the wrapper retries, not the SDK."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.errors import TesseraError
from resources.calls.failure import CallFailed


def openai_client(adapter: object, base_url: str, api_key: str) -> Any:
    """Return a client that tries once, and is closed when the adapter is gone.

    Raises:
        TesseraError: the package `openai` is not installed.
    """
    try:
        import openai
    except ImportError:
        raise not_installed("openai") from None
    return closed_with(adapter, openai.OpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0))


def closed_with(adapter: object, client: Any) -> Any:
    """Return the client, whose connections are closed when the adapter is gone."""
    weakref.finalize(adapter, client.close)
    return client


def tokens(answer: Any, name: str) -> int:
    """Return a number of tokens as the service reports it; 0 if it reports none."""
    return int(getattr(answer.usage, name, 0) or 0)


def not_installed(package: str) -> TesseraError:
    """Return the error that names the lock of an SDK."""
    return TesseraError(
        f"The package {package!r} is not installed.",
        expected=f"the extra `{package}`",
        todo=f"Install it: `.venv/bin/pip install --no-deps --require-hashes -r requirements/{package}.lock`.",
    )


@contextmanager
def failures_of(sdk: Any, name: str) -> Iterator[None]:
    """Turn errors of an SDK of this family (openai, anthropic) into `CallFailed`."""
    try:
        yield
    except sdk.APITimeoutError:
        raise CallFailed(f"{name} gave no answer in time.", is_temporary=True, may_be_paid=True) from None
    except sdk.APIConnectionError as error:
        raise CallFailed(f"{name} cannot be reached: {error}.", is_temporary=True) from None
    except sdk.APIStatusError as error:
        again = error.status_code in (408, 409, 429) or error.status_code >= 500
        raise CallFailed(
            f"{name} answered {error.status_code}.", is_temporary=again, retry_after_seconds=_retry_after(error)
        ) from None
    except (sdk.APIError, ValueError) as error:
        raise CallFailed(f"{name} gave an answer that cannot be read: {error}.", is_temporary=True) from None


def _retry_after(error: Any) -> float | None:
    try:
        return min(60.0, max(0.0, float(error.response.headers.get("retry-after", ""))))
    except ValueError:
        return None
