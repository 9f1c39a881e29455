"""What a row is about is told by the headers that exports of common systems have, in several languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.config.subjects import find_inputs, folded


def listed(text: str) -> list[str]:
    return [name.strip() for name in text.split("|")]


@pytest.mark.parametrize(
    ("header", "inputs"),
    [
        pytest.param(
            "Record ID|Company name|Company owner|Create Date|Phone Number|City|Industry|Company Domain Name|"
            "LinkedIn Company Page",
            {"company_name": "Company name", "company_domain_name": "Company Domain Name"},
            id="hubspot-companies",
        ),
        pytest.param(
            "Record ID - Contact|First Name|Last Name|Email|Phone Number|Contact owner|Associated Company|Website URL",
            {"associated_company": "Associated Company", "website_url": "Website URL"},
            id="hubspot-contacts",
        ),
        pytest.param(
            "Account ID|Account Owner|Account Name|Type|Last Activity|Billing State/Province|Website|Parent Account",
            {"account_name": "Account Name", "website": "Website"},
            id="salesforce-accounts",
        ),
        pytest.param(
            "Id|IsDeleted|Name|Type|ParentId|BillingStreet|Website|PhotoUrl|OwnerId|AccountSource|CreatedDate",
            {"name": "Name", "website": "Website"},
            id="salesforce-api",
        ),
        pytest.param(
            "Salutation|First Name|Last Name|Title|Company / Account|Email|Lead Source|Street|Lead Owner",
            {"company_account": "Company / Account"},
            id="salesforce-leads",
        ),
        pytest.param(
            "Organization - ID|Organization - Name|Organization - Owner|Organization - Address|Organization - Website",
            {"organization_name": "Organization - Name", "organization_website": "Organization - Website"},
            id="pipedrive-organizations",
        ),
        pytest.param(
            "Deal - ID|Deal - Title|Deal - Value|Deal - Organization|Deal - Contact person|Deal - Stage",
            {"deal_organization": "Deal - Organization"},
            id="pipedrive-deals",
        ),
        pytest.param(
            "Record Id|Account Owner.id|Account Owner|Account Name|Phone|Website|Parent Account.id|Parent Account",
            {"account_name": "Account Name", "website": "Website"},
            id="zoho",
        ),
        pytest.param(
            "(Do Not Modify) Account|(Do Not Modify) Row Checksum|Account Name|Main Phone|Address 1: City|Website",
            {"account_name": "Account Name", "website": "Website"},
            id="dynamics",
        ),
        pytest.param(
            "First Name|Last Name|Title|Company|Company Name for Emails|Email|# Employees|Person Linkedin Url|Website|"
            "Company Linkedin Url|Facebook Url",
            {"company": "Company", "website": "Website"},
            id="apollo",
        ),
        pytest.param(
            "Organization Name|Organization Name URL|Industries|Headquarters Location|CB Rank (Company)|Website",
            {"organization_name": "Organization Name", "website": "Website"},
            id="crunchbase",
        ),
        pytest.param(
            "Kundennr.|Firma|Straße|PLZ|Ort|Telefon|Internetadresse",
            {"firma": "Firma", "internetadresse": "Internetadresse"},
            id="german",
        ),
        pytest.param("Debitor|Name 1|Name 2|PLZ|Ort|Länderschlüssel", {"name_1": "Name 1"}, id="german-sap"),
        pytest.param("Mitglieds-Nr|Vorname|Name|Wohnort", {"full_name": "{Vorname} {Name}"}, id="german-people"),
        pytest.param(
            "SIREN|Raison sociale|Adresse|Code postal|Ville|Site web",
            {"raison_sociale": "Raison sociale", "site_web": "Site web"},
            id="french",
        ),
        pytest.param("Prénom|Nom|Société|Courriel", {"societe": "Société"}, id="french-people"),
        pytest.param(
            "CIF|Razón social|Provincia|Página web",
            {"razon_social": "Razón social", "pagina_web": "Página web"},
            id="spanish",
        ),
        pytest.param(
            "法人番号|会社名|所在地|代表者名|ホームページURL",
            {"company_name": "会社名", "website": "ホームページURL"},
            id="japanese",
        ),
        pytest.param("회사명|홈페이지|지역", {"company_name": "회사명", "website": "홈페이지"}, id="korean"),
        pytest.param("Unnamed: 0|name|domain", {"name": "name", "domain": "domain"}, id="index-column"),
        pytest.param("brand|Customer Name|sku", {"customer_name": "Customer Name"}, id="name-before-brand"),
        pytest.param("brand|Kunden-Name|sku", {"kunden_name": "Kunden-Name", "brand": "brand"}, id="any-name"),
        pytest.param("LinkedIn company|Supplier|Brand", {"supplier": "Supplier"}, id="name-before-linkedin"),
        pytest.param("Name!|name|site", {"name": "name", "site": "site"}, id="written-just-so"),
        pytest.param("domain|Company", {"company": "Company", "domain": "domain"}, id="site-first"),
        pytest.param("domain|employees", {"domain": "domain"}, id="site-only"),
        pytest.param(
            "SKU|Product Name|Brand|Price|Image URL", {"product_name": "Product Name", "brand": "Brand"}, id="products"
        ),
        pytest.param("id|name|company|title", {"name": "name", "company": "company"}, id="name-and-company"),
        pytest.param(
            "ident|type|name|iso_country|wikipedia_link|home_link", {"name": "name"}, id="no-link-elsewhere"
        ),
        pytest.param("id|created_at|email", {"email": "email"}, id="nothing-but-an-address"),
        pytest.param("Record ID|Website URL|Logo URL", {"website_url": "Website URL"}, id="no-logo"),
    ],
)  # fmt: skip
def test_what_a_row_is_about(header: str, inputs: dict[str, str]) -> None:
    chosen, others = find_inputs(listed(header))
    assert {one.field: one.source for one in chosen} == inputs
    named = {column for one in (*chosen, *others) for column in one.columns}
    assert named == {*listed(header)}


def test_a_persons_name_is_offered_beside_a_company_and_not_sent() -> None:
    chosen, others = find_inputs(["First Name", "Last Name", "Company"])
    assert [one.source for one in chosen] == ["Company"]
    assert [(one.field, one.source) for one in others] == [
        ("full_name", "{First Name} {Last Name}"),
        ("first_name", "First Name"),
        ("last_name", "Last Name"),
    ]


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8, unique=True))
def test_every_column_is_offered_once_and_every_field_has_a_name_of_its_own(columns: list[str]) -> None:
    chosen, others = find_inputs(columns)
    single = [one.source for one in (*chosen, *others) if len(one.columns) == 1]
    used = {column for one in chosen for column in one.columns}
    assert chosen
    assert {*single} | used == {*columns}
    assert len(single) == len({*single})
    fields = [one.field for one in (*chosen, *others)]
    assert len({*fields}) == len(fields)
    assert all(field == field.strip() and field.isprintable() for field in fields)


def test_names_are_compared_without_case_accents_and_marks() -> None:
    assert folded("  Société / Nom-du_Groupe ") == "societe nom du groupe"
    assert folded("companyName") == "company name"
    assert folded("Straße Łódź") == "strasse lodz"
    assert folded("LinkedIn") == "linkedin"
