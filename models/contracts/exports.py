"""Columns of order exports (Shopify, WooCommerce, UCI Online Retail) as those of the contract `orders`."""

import re
from collections.abc import Mapping, Sequence

#: Contract column -> names of it in exports, letters and digits only, the most certain first.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "order_line_id": ("orderlineid", "lineid", "lineitemid", "orderitemid", "rowid"),
    "order_id": (
        *(
            "orderid",
            "ordernumber",
            "orderno",
            "invoiceno",
            "invoicenumber",
            "invoiceid",
            "invoice",
            "order",
            "receiptid",
        ),
        *(
            "receipt",
            "basketid",
            "bestellnummer",
            "rechnungsnummer",
            "auftragsnummer",
            "numerodecommande",
            "transactionid",
        ),
    ),
    "customer_id": (
        *("customerid", "customernumber", "customerno", "clientid", "userid", "buyerid", "memberid", "accountid"),
        *("customer", "kundennummer", "kundenid", "email", "customeremail", "emailbilling", "billingemail"),
        *("customeruseremail", "useremail", "buyeremail", "emailaddress", "kunde"),
    ),
    "product_id": (
        *("productid", "lineitemsku", "sku", "stockcode", "itemid", "articleid", "itemsku", "productsku", "itemnumber"),
        *(
            "artikelnummer",
            "productcode",
            "lineitemname",
            "productname",
            "itemname",
            "product",
            "item",
            "article",
            "artikel",
        ),
        *("description",),
    ),
    "ordered_at": (
        *("orderedat", "orderdate", "invoicedate", "createdat", "datecreated", "purchasedat", "purchasedate", "paidat"),
        *(
            "ordertimestamp",
            "timestamp",
            "datetime",
            "orderdatetime",
            "transactiondate",
            "bestelldatum",
            "datum",
            "date",
        ),
    ),
    "quantity": (
        "quantity",
        "lineitemquantity",
        "qty",
        "itemquantity",
        "units",
        "menge",
        "anzahl",
        "quantite",
        "pieces",
    ),
    "unit_price": (
        *(
            "unitprice",
            "lineitemprice",
            "itemcost",
            "itemprice",
            "priceperunit",
            "price",
            "einzelpreis",
            "preis",
            "prix",
        ),
        *("productprice", "saleprice"),
    ),
    "currency": ("currency", "ordercurrency", "currencycode", "waehrung", "devise"),
    "country": (
        *(
            "country",
            "shippingcountry",
            "countrycodeshipping",
            "countryshipping",
            "shippingcountrycode",
            "billingcountry",
        ),
        *(
            "countrycodebilling",
            "countrynamebilling",
            "countrybilling",
            "billingcountrycode",
            "countrycode",
            "land",
            "pays",
        ),
    ),
    "is_return": ("isreturn", "isrefund", "returned"),
}

#: Shopify calls an order's number `Name`, which elsewhere is a person's.
_SHOPIFY = {"name", "lineitemquantity"}

#: Signs of currencies in front of or behind a price.
CURRENCY_SIGNS = {"€": "EUR", "£": "GBP", "$": "USD", "¥": "JPY", "zł": "PLN", "Kč": "CZK", "Ft": "HUF"}


def guessed_columns(names: Sequence[str]) -> dict[str, str]:
    """Contract column -> the export's column, for those that their names identify; each is used once."""
    known = {_letters(name): name for name in reversed(names)}
    found: dict[str, str] = {}
    if known.keys() >= _SHOPIFY:
        found["order_id"] = known.pop("name")
    for column, synonyms in SYNONYMS.items():
        match = next((known[word] for word in synonyms if word in known), None)
        if match is not None and column not in found and match not in found.values():
            found[column] = match
    return found


def currency_of(prices: Sequence[str]) -> str | None:
    """Return the currency whose sign is at all prices that have one; None if none has, or they differ."""
    signs = {code for price in prices for sign, code in CURRENCY_SIGNS.items() if sign in price}
    return signs.pop() if len(signs) == 1 else None


def unmapped(found: Mapping[str, str]) -> list[str]:
    """Columns of the contract that an export must have and this one does not show by any known name."""
    return [
        name
        for name in ("order_id", "customer_id", "product_id", "ordered_at", "quantity", "unit_price")
        if name not in found
    ]


def _letters(name: str) -> str:
    plain = name.lower().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue").replace("é", "e").replace("è", "e")
    return re.sub(r"[^a-z0-9]", "", plain)
