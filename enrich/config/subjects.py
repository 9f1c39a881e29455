"""Which columns of a table tell what a row is about, by their names alone. Pure.

Headers come from CRM exports and spreadsheets in many languages, so a name is compared folded: without case, accents
and punctuation. A column that names an organisation goes before one that names a person: fewer distinct questions, and
nobody's name is sent unless somebody chose so.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Input", "field_name", "find_inputs", "folded"]

_MAX_FIELD_CHARS: Final = 60


@dataclass(frozen=True, slots=True)
class Input:
    """A field of the question: a column, or text with {columns} in it."""

    field: str
    source: str
    columns: tuple[str, ...]


def folded(text: str) -> str:
    """A column's name as words: small letters without accents, one blank between them."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    plain = unicodedata.normalize("NFKD", spaced).translate(_PLAIN).casefold()
    words = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", plain)).strip()
    return re.sub(r"\b(linked) (in)\b|\b(you) (tube)\b|\b(tik) (tok)\b", _joined, words)


def _joined(match: re.Match[str]) -> str:
    return "".join(part for part in match.groups() if part)


_PLAIN: Final[dict[int, str | None]] = {
    **dict.fromkeys(range(0x300, 0x370)),  # accents
    **dict(zip(map(ord, "øØłŁæÆœ\u0131đ"), ["o", "O", "l", "L", "ae", "AE", "oe", "i", "d"], strict=True)),
}


def _names(text: str) -> tuple[str, ...]:
    return tuple(folded(name) for name in text.split(","))


# The earlier one goes before the later one.
_COMPANIES: Final = _names(
    "company name, company, account name, organization name, organisation name, organization, organisation,"
    "business name, legal name, company legal name, firm name, firm, employer, customer name, client name,"
    "supplier name, vendor name, account, associated company,"
    "Firmenname, Firma, Unternehmensname, Unternehmen, Kundenname, Raison sociale, Dénomination sociale, Dénomination,"
    "Nom de l'entreprise, Nom de la société, Société, Entreprise, Nom du compte, Razón social, Nombre de la empresa,"
    "Empresa, Ragione sociale, Azienda, Nome azienda, Nome da empresa, Razão social, Bedrijfsnaam, Bedrijf,"
    "Nazwa firmy, Företag, Företagsnamn, Firmanavn, Virksomhed, Yritys, Firma adi, Şirket, Компания, Организация,"
    "会社名, 企業名, 法人名, 社名, 会社, 企業, 取引先名, 顧客名, 公司名称, 公司名, 公司, 企业名称, 회사명, 회사, 기업명"
)
_OWN_NAMES: Final = _names(
    "name, Name 1, nom, nombre, nome, naam, navn, namn, nazwa, nazev, Название, Наименование, Bezeichnung,"
    "名称, 名稱, 名前, 名字, 이름"
)
_PEOPLE: Final = _names(
    "full name, person, person name, contact name, contact person, Ansprechpartner, nom complet, nombre completo,"
    "nome completo, 氏名, 担当者名, 姓名"
)
_TWO_NAMES: Final = tuple(
    _names(pair)
    for pair in (
        *("first name, last name", "given name, family name", "given name, surname", "Vorname, Nachname"),
        *("Vorname, Name", "prénom, nom", "nombre, apellidos", "nombre, apellido", "nome, cognome", "nome, sobrenome"),
        *("voornaam, achternaam", "imię, nazwisko", "姓, 名", "성, 이름"),
    )
)
_THINGS: Final = _names(
    "product name, product, Produktname, Produkt, produit, producto, prodotto, item, article, Artikel, 商品名, 製品名,"
    "place name, place, school, institution, title, Titel, titre, titulo"
)
_MAKERS: Final = _names("supplier, vendor, client, customer, Lieferant, brand name, brand, Marke, marque, marca")
_WEBSITES: Final = _names(
    "website, web site, website url, company website, domain, domain name, company domain name, company domain,"
    "homepage, home page, url, web, site, www, web address, Webseite, Internetseite, Internetadresse, Internet,"
    "Site web, Site internet, Sitio web, Página web, Sito web, Sito internet, Strona internetowa, Strona www,"
    "Webbplats, Hjemmeside, Сайт, ウェブサイト, Webサイト, ホームページ, サイト, ホームページURL, サイトURL,"
    "企業URL, 会社URL, HP, 网站, 網站, 网址, 官网, 홈페이지, 웹사이트"
)
# A word of these says that an address is not the site of what the row is about.
_ELSEWHERE: Final = frozenset(
    _names(
        "linkedin, facebook, twitter, instagram, xing, youtube, tiktok, crunchbase, wikipedia, kununu, logo, image,"
        "img, photo, picture, avatar, icon, email, mail, profile, support, career, careers, api, webhook, tracking,"
        "utm, page, seen, referrer, source, id"
    )
)
# A word of these says that a column is something about the row, and not its name.
_ABOUT: Final = _ELSEWHERE | frozenset(
    _names(
        "ids, uuid, guid, key, no, nr, num, number, nummer, numero, code, hash, index, idx, row, rownum, unnamed, sku,"
        "ean, owner, Besitzer, Besitzerin, propriétaire, manager, rep, date, Datum, created, updated, modified,"
        "changed, timestamp, time, status, stage, type, Typ, size, count, total, amount, value, revenue, Umsatz, phone,"
        "telephone, Telefon, tel, mobile, fax, url, link, domain, website, address, Adresse, street, Straße, rue, city,"
        "Ort, ville, country, Land, pays, state, region, zip, PLZ, postal, latitude, longitude, lat, lon, lng,"
        "currency, parent, last, first, middle, user, file, field, column, language, rating, score, flag, is, has,"
        "record, Kundennr, emails, job"
    )
)
_ADDRESSES: Final = frozenset(_names("email, emails, mail, linkedin, url, link, address, Adresse"))


def find_inputs(columns: Sequence[str]) -> tuple[list[Input], list[Input]]:
    """The fields that tell what a row is about, that without which a row can't be asked about first; and what else
    could be sent, in the order of the columns."""
    words = {column: folded(column) for column in columns}
    person = _person(words)
    company, name = _first(words, _COMPANIES), _named(words, _OWN_NAMES)
    if name is not None and person is not None and name in person.columns:
        name = None
    company = company or (None if name else _ending(words, _COMPANIES))
    site = _first(words, _WEBSITES, _ELSEWHERE) or _ending(words, _WEBSITES, _ELSEWHERE)
    chosen = _wholes((name, "name"), (company, "company_name"))
    if not chosen:
        chosen = [person] if person else _thing(words)
    if site is not None and all(site not in one.columns for one in chosen):
        chosen.append(_whole(site, "website"))
    if not chosen and columns:
        chosen = [_whole(_likely(words))]
    used = {column for one in chosen for column in one.columns}
    offered = [] if person is None or used & {*person.columns} else [person]
    others = [*offered, *(_whole(column) for column in columns if column not in used)]
    distinct = _distinctly([*chosen, *others])
    return distinct[: len(chosen)], distinct[len(chosen) :]


def _person(words: dict[str, str]) -> Input | None:
    by_name = {name: column for column, name in reversed(words.items()) if not {*column} & {*"{}"}}
    for pair in _TWO_NAMES:
        if all(part in by_name for part in pair):
            one, other = by_name[pair[0]], by_name[pair[1]]
            return Input("full_name", f"{{{one}}} {{{other}}}", (one, other))
    return None


def _thing(words: dict[str, str]) -> list[Input]:
    """A person named in one column; or a thing, and who makes or sells it."""
    one = _first(words, _PEOPLE)
    if one is not None:
        return [_whole(one, "name")]
    thing = _first(words, _THINGS) or _ending(words, (*_OWN_NAMES, *_PEOPLE, *_THINGS))
    maker = _first(words, _MAKERS) or _ending(words, _MAKERS)
    return _wholes((thing, "name"), (maker, "maker"))


def _likely(words: dict[str, str]) -> str:
    """Where no name is known: the first column that seems to be more than a property, else an address, else the
    first."""
    parts = {column: {*_parts(name)} for column, name in words.items()}
    telling = [column for column, found in parts.items() if found and not found & _ABOUT]
    return next(iter(telling or [column for column, found in parts.items() if found & _ADDRESSES] or words))


def _named(words: dict[str, str], names: Sequence[str]) -> str | None:
    """The column called by the earliest of the names; among several, one that is written just so."""
    for name in names:
        found = [column for column, folded_name in words.items() if folded_name == name]
        if found:
            return next((column for column in found if column.casefold() == name), found[0])
    return None


def _first(words: dict[str, str], names: Sequence[str], but: Iterable[str] = ()) -> str | None:
    return _named({column: name for column, name in words.items() if not {*_parts(name)} & {*but}}, names)


def _ending(words: dict[str, str], names: Sequence[str], but: frozenset[str] = _ABOUT) -> str | None:
    """The column whose name ends with one of the names, and has no word that says otherwise."""
    for name in names:
        for column, folded_name in words.items():
            ending = f" {name}" if name.isascii() else name
            if folded_name.endswith(ending) and not {*_parts(folded_name.removesuffix(ending))} & but:
                return column
    return None


def _parts(words: str) -> list[str]:
    return [part for word in words.split() for part in (word, word.rstrip("0123456789")) if part]


def field_name(column: str, kind: str = "") -> str:
    """A field's name from a column's: `company_name`; `kind` stands for what is in another script than ours."""
    name = folded(column)[:_MAX_FIELD_CHARS].strip().replace(" ", "_")
    return (name if name.isascii() else kind or name) or "subject"


def _whole(column: str, kind: str = "") -> Input:
    return Input(field_name(column, kind), column, (column,))


def _wholes(*columns: tuple[str | None, str]) -> list[Input]:
    return [_whole(column, kind) for column, kind in columns if column is not None]


def _distinctly(inputs: Iterable[Input]) -> list[Input]:
    """The same inputs; a field's name that is taken gets a number."""
    taken: set[str] = set()
    out: list[Input] = []
    for one in inputs:
        numbered = (one.field if number == 1 else f"{one.field}_{number}" for number in range(1, len(taken) + 2))
        field = next(name for name in numbered if name not in taken)
        taken.add(field)
        out.append(Input(field, one.source, one.columns))
    return out
