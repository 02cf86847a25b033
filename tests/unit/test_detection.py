"""What looks like personal data is told by a value's form and by a key's name, and what only resembles it is not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from tools.sluice_cli.authors.detection import PERSONAL, WORDS, ascii_of, detect, find, is_position, kind_of_name

VALUES = {
    "email": [
        "ada@example.com",
        "Ada.Lovelace+news@mail.example.co.uk",
        " ada@example.com ",
        "o'brien@example.org",
        "dörte@bücher.example",
        "x@xn--bcher-kva.example",
    ],
    "ip": [
        "203.0.113.77",
        "10.1.2.3",
        "2001:db8:1:2::3",
        "2001:0DB8:0000:0000:0000:0000:0000:0001",
        "fe80::1",
        "::ffff:203.0.113.77",
    ],
    "phone": [
        "+442079460018",
        "+44 20 7946 0018",
        "+1 (212) 555-0123",
        "+49-30-901820",
        "(212) 555-0123",
        "212-555-0123",
        "1-212-555-0123",
        "020 7946 0018",
        "(020) 7946 0018",
        "01 42 68 53 00",
    ],
    "card": [
        "4242424242424242",
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "6011111111111117",
        "30569309025904",
        "3566002020360505",
        "6200000000000005",
    ],
    "iban": ["GB33BUKB20201555555555", "GB33 BUKB 2020 1555 5555 55", "DE89370400440532013000", "NO93 8601 1117 947"],
    "mac": ["00:1a:2b:3c:4d:5e", "00-1A-2B-3C-4D-5E"],
    "arn": [
        "arn:aws:iam::123456789012:user/ann",
        "arn:aws-cn:iam::123456789012:mfa/ann",
        "arn:aws:sts::123456789012:assumed-role/admin/ann@example.com",
    ],
    "uuid": ["7d1c5b1e-2c2b-4f0a-9f0e-0b1c2d3e4f50", "7D1C5B1E-2C2B-4F0A-9F0E-0B1C2D3E4F50"],
}
NOTHING = [
    "arn:aws:iam::123456789012:role/admin",
    "arn:aws:s3:::bucket/user/ann",
    "",
    "ada",
    "ada@",
    "@example.com",
    "ada@localhost",
    "react@18.2.0",
    "logo@2x.png",
    "git@github.com:ada/engine.git",
    "1.2.3",
    "2.3.0.400",
    "0.0.0.0",
    "127.0.0.1",
    "255.255.255.0",
    "::",
    "::1",
    "std::vector",
    "abc::def",
    "12:30:45",
    "10.0.0.0/8",
    "2026-01-31",
    "2026-01-31T23:59:59+01:00",
    "31.01.2026",
    "1769903999",
    "1769903999500",
    "1769903999500000",
    "4242424242424241",  # Luhn's digit is wrong
    "1234567890123452",  # of no issuer
    "424242424242",
    "0192de18a4c17b1e9d3e",
    "GB33BUKB20201555555556",
    "XX33BUKB20201555555555",
    "555-1234",
    "1-800-FLOWERS",
    "593-47-5928",
    "0-306-40615-2",
    "978-3-16-148410-0",
    "+1",
    "+0200",
    "+99999999999",
    "+35236450.6",
    "12 34 56",
    "d41d8cd98f00b204e9800998ecf8427e",
    "6dcb09b5b57875f334f61aebed695e2e4193db5e",
    "refs/heads/main",
    "ORD-2026-000123",
    "https://example.com/orders/4242",
    "arn:aws:sns:eu-central-1:123456789012:users",
]
TEXTS = {
    "email": [
        "Write to ada@example.com, please.",
        "<ada@example.com>",
        "mailto:ada@example.com?subject=x",
        "?q=ada%40example.com",
    ],
    "ip": ["failed for 203.0.113.77.", "http://203.0.113.77:8080/x", "from [2001:db8::7] port 22", "ip=203.0.113.77"],
    "phone": ["Call +44 20 7946 0018!", "tel. (212) 555-0123 or later", "my number is 020 7946 0018."],
    "card": ["paid with 4242 4242 4242 4242 123 today", "card:4242424242424242;"],
    "iban": ["to GB33 BUKB 2020 1555 5555 55, thanks", "IBAN=DE89370400440532013000."],
    "arn": ["User: arn:aws:iam::123456789012:user/ann is not authorized"],
    "mac": ["from 00:1a:2b:3c:4d:5e at dawn"],
    "uuid": ["order 7d1c5b1e-2c2b-4f0a-9f0e-0b1c2d3e4f50 came"],
}
HARMLESS = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Version 10.0.0.1 of 2026-01-31 12:30:45",
    "v 1.2.3.4 of lodash@4.17.21",
    "clone git@github.com:ada/engine.git",
    "route 10.0.0.0/8, mask 255.255.255",
    "10,000.00 EUR in 12 months; 3 x 4 = 12",
    "call std::move, then 10:20:30",
    "serial 1234-5678-9012-3456",
]
NAMES = {
    "email": "email e-mail eMail EMAIL user_email billingEmail emailAddress emailAddresses emails customer.email"
    " correo courriel",
    "phone": "phone phone_number phoneNumber mobile tel fax phone2 customer.phone home_phone msisdn Telefon Handynummer"
    " téléphone teléfono",
    "name": "name first_name firstName lastName surname full_name fullName customer.name owner_name display_name"
    " pusher.name nickname initials patient.middleInitial nextOfKin.name emergency_contact Vorname NACHNAME prénom nom"
    " nombre cliente.nombre apellidos",
    "address": "address street address_line1 postal_code zip zipCode shipping_address customer.address.city"
    " billing.address.line1 addresses address.town residence.city house_no houseNumber Straße STRASSE Ort PLZ Wohnort"
    " adresse dirección código_postal",
    "birth_date": "birthday dob date_of_birth birthDate birth_year Geburtsdatum naissance date_de_naissance"
    " fecha_nacimiento",
    "ip": "ip ip_address ipAddress clientIP source_ip remote_addr ipv4 sourceIPv4 sourceIPAddress ips",
    "location": "latitude lng location.lat gps_coordinates coordinates latlon home.latLng",
    "user_id": "user_id userID customer.id accountId username login memberNumber user.name manager.id claimant.no",
    "visit_id": "anonymousId session_id visitorId",
    "device_id": "device_id deviceId imei idfa mac_address device.serialNumber dev_eui push_token fcmToken apns_token",
    "user_agent": "userAgent client.user_agent",
    "contract": "policyNumber policyNo insurance.policy_nr claimNumber claim_no",
    "tax_id": "ssn tax_id social_security_number passport_number national_id ssnLast4 ni_no Steuernummer",
    "gender": "gender sex patient.sex genderIdentity pronouns Geschlecht",
    "special": "religion ethnicity diagnosis diagnoses.code diagnosisNotes icd10 icd10Code allergies bloodType"
    " disability sexualOrientation politicalParty unionMembership medicalHistory race",
    "card": "card_number cardNumber pan credit_card",
    "iban": "iban account_number bankAccount",
    "credential": "password api_key access_token client_secret cvc Authorization pin pinCode",
    "free_text": "description comment notes categories.bodies message body review",
}
NO_NAMES = [
    *"email_verified phone_type product.name event_name file_name hostname repository.name repository.full".split(),
    *"ship zip_file vip clip id order_id sku status total created_at version currency country".split(),
    *"wallet_address mac_count city temperature line note_count message_id ip_count name_length".split(),
    *"town shipping_cost sort import_id product.nom producto.nombre policy claim pinned spin mapping".split(),
    *"position geo race_id trace bracelet diagnostic_code union reunion sextant party disabled agent.version".split(),
    *["", "_", "42", "ключ"],
]


@pytest.mark.parametrize(("kind", "value"), [(kind, one) for kind, values in VALUES.items() for one in values])
def test_a_value_is_told_by_its_form(kind: str, value: str) -> None:
    assert detect(value) == kind
    assert kind in find(f"see {value.strip()}, and more")


@pytest.mark.parametrize("value", NOTHING)
def test_what_only_resembles_it_is_nothing(value: str) -> None:
    assert detect(value) is None
    assert find(value) == set()


@pytest.mark.parametrize(("kind", "text"), [(kind, one) for kind, texts in TEXTS.items() for one in texts])
def test_a_value_is_found_within_a_text(kind: str, text: str) -> None:
    assert detect(text) is None
    assert find(text) == {kind}


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_text_holds_nothing(text: str) -> None:
    assert find(text) == set()


def test_all_that_a_text_holds_is_found() -> None:
    text = "; ".join(texts[0] for texts in TEXTS.values())
    assert find(text) == VALUES.keys()
    assert find(json.dumps({"a": ["ada@example.com", {"b": "203.0.113.77"}]})) == {"email", "ip"}


@pytest.mark.parametrize(("kind", "key"), [(kind, one) for kind, keys in NAMES.items() for one in keys.split()])
def test_a_key_names_what_is_in_it(kind: str, key: str) -> None:
    assert kind_of_name(key) == kind


@pytest.mark.parametrize("key", NO_NAMES)
def test_another_key_names_nothing(key: str) -> None:
    assert kind_of_name(key) is None


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("Straße", "Strasse"),
        ("STRAẞE", "STRASSE"),
        ("Übermut", "Uebermut"),
        ("ÄRZTE", "AERZTE"),
        ("a\u0308rzte", "aerzte"),
        ("prénom", "prenom"),
        ("señora", "senora"),
        ("Łódź", "Lodz"),
        ("ключ", "ключ"),
    ],
)
def test_latin_letters_are_spelled_in_ascii(text: str, spelled: str) -> None:
    assert ascii_of(text) == spelled


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("50.1,8.6", True),
        ("-54.05; -178.58", True),
        ("50.1 8.6", True),
        ("50,8", False),
        ("95.1,8.6", False),
        ("50.1,188.6", False),
        ("50.1", False),
        ("lead", False),
    ],
)
def test_a_position_is_a_latitude_and_a_longitude(text: str, is_one: bool) -> None:
    assert is_position(text) == is_one


@given(st.text())
def test_any_text_and_any_key_are_told(text: str) -> None:
    assert {detect(text), kind_of_name(text)} <= {*WORDS, None}
    assert find(text) <= {*WORDS}
    if detect(text):
        assert detect(text) in find(text)


@given(st.integers(4 * 10**15, 5 * 10**15 - 1).map(str))
def test_a_card_is_told_by_its_check_digit(digits: str) -> None:
    assert (detect(digits) == "card") == luhn.is_valid(digits)


@pytest.mark.parametrize("text", [one * 100_000 for one in ("a", "1", "1 ", "+", "a:", "0 12")])
def test_a_long_text_is_looked_through_once(text: str) -> None:
    assert find(text) == set()


def test_every_kind_has_words_and_none_but_the_uuid_is_impersonal() -> None:
    assert {*VALUES, *NAMES} <= WORDS.keys()
    assert WORDS.keys() - PERSONAL == {"uuid"}
