"""Which URLs and addresses may be fetched: pure judgement, nothing is resolved or connected here.

Everything that is not globally routable is refused, in every spelling, unless configuration opens its network
on purpose. Names are judged when they are resolved (`resolver`), by the same `judge_address`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

from media_assets.errors import ErrorCode, ItemError, SetupError
from media_assets.ingest.fetch.redaction import shown

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAX_URL_CHARS = 8_000  # request lines beyond this are refused by servers, and by our own header limits
_DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY_END = re.compile(r"[/?#]")
_HOST_AND_PORT = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]+)(?::([0-9]{0,5}))?", re.ASCII)
_NOT_IN_HOSTS = re.compile(r"[\s\\%]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NAME = re.compile(r"(?=.{1,254}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
_SENDABLE = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+", re.ASCII)

# IANA's special-purpose registries (RFC 6890 and successors), written out because `ipaddress.is_global`
# differs between Python versions; it is asked as well, except about 6to4 (2002::/16), which newer Pythons call
# private as a whole: there the address inside decides, which is judged by itself.
_SPECIAL_V4 = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by carriers"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "a cloud's metadata service"),  # public by number, inside every Azure machine
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relays"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
_SPECIAL_V6 = (
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::/96", "IPv4-compatible"),
    ("64:ff9b:1::/48", "local NAT64"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
    ("2001::/32", "Teredo"),
    ("2001::/23", "protocol assignments"),
    ("2001:db8::/32", "documentation"),
    ("3fff::/20", "documentation"),
)
_SPECIAL: tuple[tuple[Network, str], ...] = tuple((ip_network(n), why) for n, why in _SPECIAL_V4 + _SPECIAL_V6)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")  # nothing else is assigned to the open network
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the IPv4 address is the last 32 bits
_ISATAP_IDS = frozenset({0x00005EFE, 0x02005EFE})  # RFC 5214: bits 64-95 before an IPv4 address


@dataclass(frozen=True)
class AddressPolicy:
    """What may be connected to.

    `allowed_networks` are opened on purpose by configuration (`("127.0.0.0/8", "::1/128")`), with any port;
    every other address must be globally routable, and its port one of `allowed_ports` (None = any).

    Raises:
        SetupError: a network that is not written as `address/prefix length`.
    """

    allowed_networks: tuple[str, ...] = ()
    allowed_ports: frozenset[int] | None = frozenset({80, 443, 8080, 8443})

    def __post_init__(self) -> None:
        _networks(self.allowed_networks)

    def opens(self, address: Address) -> bool:
        """Whether configuration opens this address on purpose."""
        return any(address in network for network in _networks(self.allowed_networks))

    def takes_port(self, port: int) -> bool:
        """Whether this port may be used on a globally routable address."""
        return port > 0 and (self.allowed_ports is None or port in self.allowed_ports)


@lru_cache(maxsize=64)
def _networks(written: tuple[str, ...]) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(network) for network in written)
    except ValueError as error:
        raise SetupError(f"allowed networks must look like 10.0.0.0/8 or fd00::/8: {error}") from None


def judge_url(url: str, policy: AddressPolicy) -> URL:
    """The parsed URL, when it may be fetched as far as its text tells.

    A host that is an address in any spelling is judged here (an HTTP client does not resolve such hosts, so
    no resolver would ever see it); a host that is a name is judged when it is resolved.

    Raises:
        ItemError: URL_REFUSED (not http(s), user info, a port that is not allowed, not a URL) or
        ADDRESS_REFUSED.
    """
    scheme, host, port = _parts(url)
    parsed = _parsed(url)
    host = _agreed_host(url, host, parsed)
    if parsed.scheme != scheme or parsed.port != port:
        raise _refused(url, "its scheme or port can be read in two ways")
    address = _literal(host, url)
    if address is not None:
        _judge(address, policy, port, url)
    elif not policy.takes_port(port) and (port == 0 or not policy.allowed_networks):
        # With networks opened on purpose, a name's port is judged together with its addresses.
        raise _port_refused(shown(url), port, policy)
    return parsed


def judge_address(address: str, policy: AddressPolicy, *, port: int | None = None, asked: str = "") -> None:
    """Accept one resolved address (and port), or raise; `asked` is the name it was resolved from.

    Raises:
        ItemError: ADDRESS_REFUSED, or URL_REFUSED for the port alone.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        raise ItemError(
            ErrorCode.ADDRESS_REFUSED, f"{asked or 'the resolver'} gave {address!r}, not an address"
        ) from None
    _judge(parsed, policy, port, asked or address)


def _judge(address: Address, policy: AddressPolicy, port: int | None, asked: str) -> None:
    ends = _ends(address)
    if all(policy.opens(end) for end in ends) or policy.opens(address):
        return
    for end in ends:
        why = None if policy.opens(end) else _why_not_global(end)
        if why is not None:
            raise ItemError(
                ErrorCode.ADDRESS_REFUSED,
                f"{shown(asked)} leads to {end} ({why}); only public addresses are fetched. If this "
                "source is yours, open its network in the configuration (allowed networks)",
            )
    if port is not None and not policy.takes_port(port):
        raise _port_refused(shown(asked), port, policy)


def _ends(address: Address) -> tuple[Address, ...]:
    """Where traffic to `address` may end: what it wraps, and itself unless it is only a wrapping."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64:
        return (last,)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP_IDS:
        return (address, last)
    return (address,)


def _why_not_global(address: Address) -> str | None:
    """Why an unwrapped address is not on the open network, or None when it is."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "bound to one network interface"
    for network, why in _SPECIAL:
        if address in network:
            return why
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST_V6:
        return "not global unicast"
    is_6to4 = isinstance(address, IPv6Address) and address.sixtofour is not None
    if not (address.is_global or is_6to4) or address.is_multicast or address.is_reserved or address.is_unspecified:
        return "not globally routable"
    return None


def _parts(url: str) -> tuple[str, str, int]:
    """Scheme, host and port by our own reading, stricter than any URL standard."""
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.lower() not in _DEFAULT_PORTS:
        raise _refused(url, "only http:// and https:// are fetched")
    if len(url) > _MAX_URL_CHARS or _CONTROL.search(url):
        raise _refused(url, f"it holds control characters or more than {_MAX_URL_CHARS} characters")
    authority = _AUTHORITY_END.split(rest, maxsplit=1)[0]
    if "@" in authority:
        raise _refused(url, "user info (…@) is not taken in URLs")
    host, port = _host_and_port(authority, url)
    return scheme.lower(), host, port if port is not None else _DEFAULT_PORTS[scheme.lower()]


def _host_and_port(authority: str, url: str) -> tuple[str, int | None]:
    found = _HOST_AND_PORT.fullmatch(authority)
    if found is None or _NOT_IN_HOSTS.search(authority):
        if "%" in authority:
            raise ItemError(
                ErrorCode.ADDRESS_REFUSED,
                f"{shown(url)}: a percent sign in the host (escapes, zones) hides where it leads",
            )
        raise _refused(url, "its host cannot be read")
    if not authority.isascii() and any(char.isdigit() and not char.isascii() for char in found[1]):
        raise ItemError(ErrorCode.ADDRESS_REFUSED, f"{shown(url)}: digits in a host must be plain ones (0 to 9)")
    return found[1], int(found[2]) if found[2] else None


def _parsed(url: str) -> URL:
    """The URL for the HTTP client: byte for byte where that is safe (signed URLs), else quoted."""
    try:
        parsed = URL(url, encoded=True) if _SENDABLE.fullmatch(url) else URL(url)
        # read lazily, and refused only then; the client asks for the decoded host as well (punycode may be none)
        _ = parsed.raw_host, parsed.host, parsed.port
    except ValueError as error:
        raise _refused(url, f"it cannot be read ({type(error).__name__})") from None
    return parsed


def _agreed_host(url: str, host: str, parsed: URL) -> str:
    """The host in ASCII, once our reading and the HTTP client's agree on it."""
    client_host = (parsed.raw_host or "").lower()
    if host.startswith("["):
        try:
            if IPv6Address(host[1:-1]) == IPv6Address(client_host):
                return client_host
        except ValueError:
            raise _refused(url, "its host is in brackets and not an IPv6 address") from None
    elif _NAME.fullmatch(client_host) and (not host.isascii() or host.lower() == client_host):
        return client_host
    raise _refused(url, "its host is not a name of letters, digits, hyphens and dots")


def _literal(host: str, url: str) -> Address | None:
    """The address a host spells, or None for a name that has to be resolved (`localhost` never does, RFC 6761).

    A last label that is a number makes a host an IPv4 address (WHATWG URL, "ends in a number"): system
    resolvers read `127.1`, `0x7f000001`, `017700000001` and `2130706433` as loopback. Only the plain dotted
    form is read here.
    """
    if ":" in host:
        return IPv6Address(host)
    if host.removesuffix(".").rpartition(".")[2] == "localhost":
        return IPv4Address("127.0.0.1")
    if not _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        return None
    try:
        return IPv4Address(host)
    except ValueError:
        raise ItemError(
            ErrorCode.ADDRESS_REFUSED,
            f"{shown(url)}: the host is an unusual spelling of an address; write it as four decimal numbers",
        ) from None


def _refused(url: str, why: str) -> ItemError:
    return ItemError(ErrorCode.URL_REFUSED, f"{shown(url)}: {why}")


def _port_refused(asked: str, port: int, policy: AddressPolicy) -> ItemError:
    ports = ", ".join(map(str, sorted(policy.allowed_ports or ()))) or "1 to 65535"
    return ItemError(ErrorCode.URL_REFUSED, f"{asked}: port {port} is not fetched from (allowed: {ports})")
