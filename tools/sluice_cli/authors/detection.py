"""Personal data: what a text holds by its form, and what a field holds by its name. Both are guesses to be confirmed.

A form is told from others by check digits, numbering plans and known prefixes, so that few ids are taken for data of a
person. What has no form, such as the name of somebody, only the field's name tells.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import unquote

from stdnum import iban, luhn

from sluice.declaration import canonical
from sluice.failures import Rejected

WORDS = {  # kinds as they are told to a person
    "email": "an e-mail address",
    "ip": "an IP address",
    "phone": "a phone number",
    "card": "a payment card",
    "iban": "a bank account",
    "mac": "a MAC address",
    "uuid": "a UUID",
    "arn": "the ARN of a user or a session",
    "name": "a person's name",
    "address": "a postal address",
    "birth_date": "a date of birth",
    "location": "a position",
    "user_id": "a person's id",
    "visit_id": "the id of a visit or a browser",
    "device_id": "a device's id",
    "user_agent": "a person's browser and device",
    "contract": "the number of a person's contract or claim",
    "tax_id": "a number that a state gives a person",
    "gender": "a person's sex or gender",
    "special": "data of a special category (GDPR, article 9)",
    "credential": "a secret",
    "free_text": "free text",
}
PERSONAL = frozenset(WORDS) - {"uuid"}

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]"
_EMAIL = re.compile(rf"(?<!{_ATOM})(?<!\.)(?!git@)(?:{_ATOM}|\.){{1,64}}@[\w.-]{{1,253}}(?<![.-])(?![\w@])")
_TOP_LEVEL = re.compile(r"(?:[^\W\d_]{2,63}|xn--[a-z0-9-]+)", re.IGNORECASE)
_FILES = "gif jpeg jpg png svg webp"  # `logo@2x.png`

# Before an address may be a scheme or a name, but no product: `Chrome/120.0.0.0`. Behind it no mask of a network.
_BEFORE_IP = r"(?:(?<=//)|(?<=@)|(?<![\w.:/@-]))"
_IPV4 = re.compile(rf"{_BEFORE_IP}(?<![vV] )(?<![vV]ersion )(?:\d{{1,3}}\.){{3}}\d{{1,3}}(?![\w-]|\.\d|/\d)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?:::ffff:|(?:[23][0-9a-f]{3}|f[cdef][0-9a-f]{2}):)[0-9a-f:.]{1,38}(?<![.])(?![\w:]|/\d)",
    re.IGNORECASE,
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_CARDS = [
    re.compile(rf"(?<![\w.+-]){form}(?![\w-]|\.\d)")
    for form in (
        r"\d{13,19}",
        r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}",
        r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}\1\d{3}",
        r"\d{4}([ -])\d{6}\1\d{4,5}",
    )
]
_ISSUERS = re.compile(  # Visa, Mastercard, American Express, Diners Club, Discover, JCB, UnionPay (ISO/IEC 7812)
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d+(?<=^\d{16})|3[47]\d{13}"
    r"|3(?:0[0-5]\d|[689]\d\d)\d{10}|6(?:011|4[4-9]\d|5\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)
_PHONES = [
    re.compile(rf"(?<![\w+.-]){form}(?![\w-]|\.\d)")
    for form in (
        r"\+[1-9](?:[ ().-]{0,2}\d){5,13}\d",  # E.164, however it is grouped
        r"(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.-])[2-9]\d\d[.-]\d{4}",  # North America
        r"(?:\(0\d{1,4}\) ?|0\d{1,4}[ -])\d{2,4}(?:[ -]\d{2,4}){1,4}",  # an area or trunk code, and groups behind it
    )
]
_REGIONS = ("GB", "DE", "FR", "IT", "NL", "AU", "JP", "CH", "AT", "BE")  # those that write a 0 before the area
_MAC = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])")
_ARN = re.compile(  # of a session of single sign-on it ends in an e-mail address
    r"arn:aws[\w-]*:(?:iam::\d{12}:(?:user|mfa)|sts::\d{12}:(?:assumed-role/[^/\s]+|federated-user))/[^\s\"',]+"
)
_UUID = re.compile(r"(?<![\w-])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![\w-])")


def detect(text: str) -> str | None:
    """Return the kind of a text by its form, or None: `email`, `ip`, `phone`, `card`, `iban`, `mac`, `uuid`, `arn`."""
    value = text.strip()
    for kind, patterns, holds in _FORMS:
        if any(pattern.fullmatch(value) for pattern in patterns) and holds(value):
            return kind
    return None


def find(text: str) -> set[str]:
    """Return the kinds of all that is anywhere within a text, by its form; that of a URL may be percent-encoded."""
    text = f"{text}\n{unquote(text)}" if "%" in text else text
    return {kind for kind, patterns, holds in _FORMS if any(holds(found) for found in _candidates(text, patterns))}


def kind_of_name(key: str) -> str | None:
    """Return the kind of what a key of a record names, or None: `email`, `name`, `user_id`, … (see `WORDS`).

    The last words count: `email_verified` is no e-mail address. Keys with dots between tell more: `customer.name` is a
    person's, `product.name` is not.
    """
    found = words(key)
    if not _SPECIAL.isdisjoint(found) or any(phrase in f" {' '.join(found)} " for phrase in _SPECIAL_PHRASES):
        return "special"
    for length in (3, 2, 1):
        kind = _NAMES.get(" ".join(found[-length:])) if len(found) >= length else None
        if kind:
            return kind
    if not found:
        return None
    *before, last = found
    if last in _NAME and (not before or before[-1] in _PEOPLE):
        return "name"
    if last in ("id", "uid", "uuid", "key", "number", "no") and before and before[-1] in _PEOPLE:
        return "user_id"
    if last == "address" and (not before or before[-1] not in _OTHER_ADDRESSES):
        return "address"
    return "address" if is_part_of_address(last) and _ADDRESSES & {*before} else None


def is_part_of_address(key: str) -> bool:
    """Tell whether a key names a part of an address if the rest stands around it: `city` may be that of a shop."""
    return bool(_PARTS_OF_ADDRESS & {*words(key)[-1:]})


def may_be_place(key: str) -> bool:
    """Tell whether a key names a position if its values have the form of one: `position` may be a job, too."""
    return bool(_PLACES & {*words(key)[-1:]})


def is_position(text: str) -> bool:
    """Tell whether a text is a latitude and a longitude in degrees."""
    found = _POSITION.fullmatch(text)
    return found is not None and abs(float(found[1])) <= 90 and abs(float(found[2])) <= 180


def words(key: str) -> list[str]:
    """Return the words of a key in small letters and the singular, without the digits at its end."""
    spaced = re.sub(r"ipv[46]", " ip ", ascii_of(key), flags=re.IGNORECASE)
    found = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", spaced)]
    while found and found[-1].isdigit():
        found.pop()
    return [singular(word) for word in found]


def ascii_of(text: str) -> str:
    """Return a text with its Latin letters in ASCII, as German has it where it has a rule: `Straße` is `Strasse`."""
    spelled = unicodedata.normalize("NFC", text).translate(_LETTERS)
    spelled = spelled.upper() if text.isupper() else spelled
    return "".join(one for one in unicodedata.normalize("NFKD", spelled) if not unicodedata.combining(one))


def singular(word: str) -> str:
    """Return the name of one thing, given that of several, as far as English is regular."""
    for plural, one in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x")):
        if word.endswith(plural) and len(word) > len(plural) + 1:
            return word.removesuffix(plural) + one
    is_one = word.endswith(("ss", "us", "is")) or word in ("gps", "sms") or len(word) < 3
    return word if is_one else word.removesuffix("s")


def is_person(key: str) -> bool:
    """Tell whether a key names a person: what an object under it holds is told of somebody."""
    return bool(_PEOPLE & {*words(key)[-1:]})


def _candidates(text: str, patterns: list[re.Pattern[str]]) -> Iterator[str]:
    return (match[0] for pattern in patterns for match in pattern.finditer(text))


def _is_email(value: str) -> bool:
    try:
        domain = canonical.email(canonical.text(value)).rpartition("@")[2]
    except Rejected:
        return False
    host, _, top = domain.rpartition(".")
    return bool(host and _TOP_LEVEL.fullmatch(top)) and top not in _FILES.split()


def _is_ip(value: str) -> bool:
    """Tell whether it is an address of some machine: not of every one, and no mask."""
    try:
        address = canonical.ip_address(value)
    except Rejected:
        return False
    return not address.startswith(("0.", "127.", "255."))


def _is_card(value: str) -> bool:
    digits = re.sub(r"[ -]", "", value)
    return bool(_ISSUERS.fullmatch(digits)) and luhn.is_valid(digits)


def _is_phone(value: str) -> bool:
    import phonenumbers  # the numbering plans of the world

    regions = (None,) if value.startswith("+") else ("US",) if value.lstrip("(")[0] != "0" else _REGIONS
    for region in regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(value, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _is_iban(value: str) -> bool:
    return iban.is_valid(value, check_country=False)


_FORMS: list[tuple[str, list[re.Pattern[str]], Callable[[str], bool]]] = [
    ("arn", [_ARN], bool),
    ("email", [_EMAIL], _is_email),
    ("uuid", [_UUID], bool),
    ("mac", [_MAC], bool),
    ("ip", [_IPV4, _IPV6], _is_ip),
    ("iban", [_IBAN], _is_iban),
    ("card", _CARDS, _is_card),
    ("phone", _PHONES, _is_phone),
]


def _table(**kinds: str) -> dict[str, str]:
    """Return the kind of each name; commas part the names of a kind."""
    return {name.strip(): kind for kind, names in kinds.items() for name in names.split(",")}


_LETTERS = str.maketrans(
    dict(zip("äöüßæœøłđ", "ae oe ue ss ae oe o l d".split(), strict=True))
    | dict(zip("ÄÖÜẞÆŒØŁĐ", "Ae Oe Ue SS Ae Oe O L D".split(), strict=True))
)
_POSITION = re.compile(r"\s*(-?\d{1,2}\.\d+)\s*[,; ]\s*(-?\d{1,3}\.\d+)\s*")

# English, and of other languages the keys that mean nothing else.
_NAMES = _table(
    email="email, mail, email address, mail address, email addr, emailaddress, correo, correo electronico, courriel",
    phone="phone, telephone, tel, mobile, msisdn, fax, cellphone, cell phone, phone number, phone no, mobile number,"
    "mobile phone, telephone number, contact number, fax number, phonenumber, whatsapp, telefon, telefonnummer, handy,"
    "handynummer, mobilnummer, telefono, movil",
    name="first name, firstname, last name, lastname, given name, givenname, family name, familyname, middle name,"
    "surname, forename, full name, fullname, maiden name, real name, display name, displayname, nickname, nick name,"
    "legal name, cardholder, account holder, initial, middle initial, next of kin, emergency contact, vorname,"
    "nachname, familienname, geburtsname, prenom, apellido",
    address="street, street address, street name, address line, addr, postcode, post code, postal code, postalcode,"
    "zip, zip code, zipcode, house number, house no, house nr, house num, flat number, flat no, apartment number,"
    "apartment no, street number, street no, home town, hometown, home city, strasse, hausnummer, hausnr, ort, wohnort,"
    "plz, postleitzahl, anschrift, adresse, code postal, rue, direccion, calle, codigo postal",
    birth_date="birthday, birthdate, birth date, date of birth, dob, birth day, birth year, year of birth, born,"
    "geburtsdatum, geburtstag, geburtsjahr, naissance, nacimiento",
    ip="ip, ip address, ip addr, ipaddress, ipaddr, remote addr, remote address, forwarded for",
    location="latitude, longitude, lat, lon, lng, coordinate, coord, gps, geo point, geopoint, geolocation, lat lng,"
    "lat lon, lat long, latlng, latlon, latlong",
    user_id="username, user name, login, screen name, screenname, handle, userid, customerid, uid, user,"
    "external id, distinct id, loyalty no, loyalty number, loyalty id, loyalty card, membership no, membership number,"
    "membership id, personalnummer, kundennummer, mrn, medical record number, nhs number, nhs no",
    visit_id="visitor id, anonymous id, anonymousid, session id, sessionid, cookie id",
    device_id="device id, deviceid, device uid, device uuid, imei, imsi, iccid, idfa, idfv, gaid, aaid, udid,"
    "android id, advertising id, advertiser id, ad id, device token, push token, registration token, fcm token,"
    "fcmtoken, apns token, apn token, mac,"
    "mac address, macaddress, device serial, serial number, dev eui, device eui, hardware id, fingerprint,"
    "installation id, install id, instance id, dev addr",
    user_agent="user agent, useragent",
    contract="policy number, policy no, policy nr, policynumber, policyno, claim number, claim no, claim nr,"
    "claimnumber, insurance number, insurance no, insurance id, versicherungsnummer",
    tax_id="ssn, ssn last, ssn last four, last four ssn, social security, social security number, tin, itin, tax id,"
    "taxid, tax number, tax no, nino, ni no, ni number,"
    "national id, national insurance number, national insurance no, national identifier, identity number, passport,"
    "passport number,"
    "passport no, cpf, nif, driver license, driver licence, license number, licence number, pesel, bsn,"
    "vat, vat id, vatid, vat no, vat number,"
    "personnummer, aadhaar, aadhar, fiscal code, codice fiscale, id card, identity card, steuernummer, steuer id,"
    "sozialversicherungsnummer, dni",
    card="card number, cardnumber, credit card, creditcard, credit card number, debit card, card no, pan",
    iban="iban, account number, bank account, bank account number, accountnumber, routing number, kontonummer",
    credential="password, passwd, pwd, passphrase, secret, client secret, api key, apikey, access key, access token,"
    "refresh token, auth token, id token, bearer token, authorization, private key, cvc, cvv, cvv2, otp, cookie, jwt,"
    "pin, pin code, passwort, kennwort",
    special="race, biometric, biometric id, biometric template, faceprint",
    gender="sex, gender, gender identity, pronoun, geschlecht, sexe, sexo",
    free_text="description, comment, note, message, body, text, remark, bio, biography, about, feedback, memo, content,"
    "free text, freetext, review, caption, transcript, commentary, instruction",
)
_NAME = ("name", "nom", "nombre")  # of a person only if nothing says whose
_SPECIAL = frozenset(  # wherever they stand in a key: `diagnosis.code`
    "religion religious konfession faith ethnicity ethnic diagnosis diagnose icd allergy disability medication"
    " prescription symptom pregnancy pregnant hiv genome".split()
)
_SPECIAL_PHRASES = [
    f" {phrase} "
    for phrase in (
        *("blood type", "blood group", "medical condition", "medical history", "health condition", "health status"),
        *("sexual orientation", "sexual preference", "political party", "political opinion", "political affiliation"),
        *("political view", "party affiliation", "party membership", "trade union", "union membership", "union member"),
    )
]
_PLACES = frozenset("geo position location loc point".split())
_PEOPLE = frozenset(
    "user customer client member account person people employee patient player subscriber contact owner author sender"
    " recipient receiver guest passenger driver rider student teacher tenant buyer seller payer payee holder pusher"
    " committer creator actor assignee reviewer visitor profile participant attendee operator staff doctor child parent"
    " spouse beneficiary applicant candidate agent from reporter signer billing shipping login principal trait manager"
    " supervisor physician nurse practitioner therapist dentist surgeon insured policyholder claimant debtor borrower"
    " lender advisor adviser donor kin guardian mother father husband wife pupil learner kunde kundin mitarbeiter"
    " patientin cliente paciente usuario empleado utilisateur".split()
)
_OTHER_ADDRESSES = frozenset(
    "ip mac email mail web wallet memory contract hardware network url dev device host".split()
)
_ADDRESSES = frozenset("address billing shipping residence domicile anschrift adresse direccion".split())
_PARTS_OF_ADDRESS = frozenset(
    "line city town village suburb district house flat apartment unit building stadt ville ciudad".split()
)
