"""Each benchmark owns one section of the page of results."""

from pathlib import Path

from benchmarks.report import replace_section


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "benchmarks.md"
    replace_section("one", "## One\n\nfirst \\1", libraries=["pyarrow"], page=page)
    replace_section("two", "## Two\n\nkept", libraries=[], page=page)
    replace_section("one", "## One\n\nsecond", libraries=["pyarrow"], page=page)
    text = page.read_text()
    assert text.count("<!-- one:begin -->") == text.count("<!-- one:end -->") == 1
    assert "second" in text
    assert "first" not in text
    assert "kept" in text
    assert text.index("## One") < text.index("## Two")
