"""What services write: LOG, AUDIT and ERROR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workload._envelope import CHANNELS, content_id, direct, extracted, hexadecimal, uuid

if TYPE_CHECKING:
    import random

_WRITERS: Final = {"node": 45, "java": 32, "user": 8, "payload": 7.5, "system": 7.5}
"""Per cent of the LOGs; the first three are ``api_access``."""
_BY_A_USER_SERVICE: Final = 0.55
"""Of the ERRORs."""
_STATUSES: Final = {200: 96, 400: 2, 404: 1, 500: 1}
_MEAN_MS: Final = 60

_NODE_APIS: Final = (
    (b"Search api", b"search", b"search", b"POST"),
    (b"Content read api", b"content", b"content/v1/read", b"GET"),
    (b"Content hierarchy api", b"course", b"course/v1/hierarchy", b"GET"),
    (b"Framework read api", b"framework", b"framework/v1/read", b"GET"),
)
_JAVA_APIS: Final = (
    (b"/content/v3/read/do_3143%014d?fields=createdBy%%2Ccollaborators%%2Cstatus&mode=edit", b"GET", b"content"),
    (b"/content/v3/hierarchy/do_3143%014d?mode=edit&rootId=do_3143000000000000", b"GET", b"content"),
    (b"/v3/search?framework=k-12&consumer=portal&request=do_3143%014d", b"POST", b"search"),
    (b"/assessment/v3/items/list?item=do_3143%014d&offset=0&limit=200", b"POST", b"assessment"),
)  # fmt: skip
_USER_APIS: Final = (b"/private/user/v1/search", b"/v1/user/read/", b"/v2/user/consent/read", b"/v1/org/search")


class Services:
    """The services of a platform; each method returns an event's text, made at ``ets``, arriving at ``arrival``."""

    def __init__(self, rng: random.Random) -> None:
        """Start them."""
        self._rng = rng
        self._logs = tuple(getattr(self, f"_log_of_{writer}") for writer in _WRITERS)

    def log(self, ets: int, arrival: int) -> bytes:
        """Return a LOG of one of the five kinds of writers."""
        (write,) = self._rng.choices(self._logs, tuple(_WRITERS.values()))
        text: bytes = write(ets, arrival)
        return text

    def audit(self, ets: int, arrival: int) -> bytes:
        """Return the AUDIT of a change to some content."""
        rng = self._rng
        return direct(
            b"AUDIT", ets, arrival,
            b'"mid":"LP.%d.%b","actor":{"id":"%b","type":"User"},"context":{"channel":"%b",'
            b'"pdata":{"id":"prod.prod.learning.platform","pid":"audit-event-generator","ver":"1.0"},"env":"content",'
            b'"cdata":[{"id":"NCF","type":"framework"},{"id":"%b","type":"Request"}],"rollup":{}},'
            b'"object":{"id":"%b","type":"Content","rollup":{}},"edata":{"props":["lastUpdatedOn","pkgVersion","versionKey",'
            b'"status","lastStatusChangedOn","artifactUrl","downloadUrl","size"],"state":"Live","prevstate":"Review"}'
            % (ets, uuid(rng), uuid(rng), rng.choice(CHANNELS), uuid(rng), content_id(rng)),
        )  # fmt: skip

    def error(self, ets: int, arrival: int) -> bytes:
        """Return the ERROR of a request that was refused."""
        return (self._user_error if self._rng.random() < _BY_A_USER_SERVICE else self._node_error)(ets, arrival)

    def _log_of_node(self, ets: int, arrival: int) -> bytes:
        rng = self._rng
        title, category, url, method = rng.choice(_NODE_APIS)
        return extracted(
            b"LOG", ets, arrival,
            b'"mid":"LOG:%b","actor":{"id":"%b","type":"user"},"context":{"channel":"%b",'
            b'"pdata":{"id":"prod.prod.content-service","ver":"1.0","pid":"sunbird-content-service"},"env":"content",'
            b'"sid":"","did":"","cdata":[],"rollup":{}},"object":{"id":"%b","type":"course","ver":"","rollup":{}},"tags":[],'
            b'"edata":{"type":"api_access","level":"INFO","message":"successful","params":[{"rid":"%b"},{"title":"%b"},'
            b'{"category":"%b"},{"url":"%b"},{"method":"%b"}]}'
            % (hexadecimal(rng), uuid(rng), rng.choice(CHANNELS), content_id(rng), uuid(rng), title, category, url,
               method),
        )  # fmt: skip

    def _log_of_java(self, ets: int, arrival: int) -> bytes:
        rng = self._rng
        url, method, env = rng.choice(_JAVA_APIS)
        (status,) = rng.choices(tuple(_STATUSES), tuple(_STATUSES.values()))
        duration, size = 2 + int(rng.expovariate(1 / _MEAN_MS)), rng.randrange(200, 90_000)
        return direct(
            b"LOG", ets, arrival,
            b'"mid":"LP.%d.%b","actor":{"id":"org.sunbird.learning.platform","type":"System"},"context":{"channel":"%b",'
            b'"pdata":{"id":"prod.prod.learning.platform","pid":"%b-service","ver":"1.0"},"env":"%b"},'
            b'"edata":{"level":"INFO","type":"api_access","message":"","params":[{"duration":%d},{"protocol":"http"},'
            b'{"size":%d},{"method":"%b"},{"uip":"10.0.%d.%d"},{"url":"%b"},{"status":%d}]}'
            % (ets, uuid(rng), rng.choice(CHANNELS), env, env, duration, size, method, rng.randrange(4),
               rng.randrange(1, 255), url % rng.randrange(10**14), status),
        )  # fmt: skip

    def _log_of_user(self, ets: int, arrival: int) -> bytes:
        rng = self._rng
        request = uuid(rng)
        return direct(
            b"LOG", ets, arrival,
            b'"mid":"%b","actor":{"id":"internal","type":"Consumer"},"context":{"channel":"%b",'
            b'"pdata":{"id":"prod.sunbird.learning.service","pid":"learner-service","ver":"5.1.0"},"env":"Miscellaneous",'
            b'"cdata":[{"id":"%b","type":"Request"}],"rollup":{}},"edata":{"level":"info","type":"Api_access","message":"",'
            b'"params":[{"url":"%b"},{"method":"POST"},{"duration":%d},{"status":"OK"}]}'
            % (request, rng.choice(CHANNELS), request, rng.choice(_USER_APIS), rng.randrange(90)),
        )  # fmt: skip

    def _log_of_payload(self, ets: int, arrival: int) -> bytes:
        rng = self._rng
        wanted = b",".join(b'\\"%b\\"' % content_id(rng) for _ in range(rng.randrange(1, 25)))
        return direct(
            b"LOG", ets, arrival,
            b'"mid":"LP.%d.%b","actor":{"id":"org.sunbird.learning.platform","type":"User"},"context":{"channel":"%b",'
            b'"pdata":{"id":"prod.prod.learning.platform","pid":"search-service","ver":"1.0"},"env":"system"},'
            b'"edata":{"level":"INFO","type":"payload","message":"{\\"request\\":{\\"filters\\":{\\"objectType\\":\\"Content\\",'
            b'\\"identifier\\":[%b]},\\"limit\\":100}}"}' % (ets, uuid(rng), rng.choice(CHANNELS), wanted),
        )  # fmt: skip

    def _log_of_system(self, ets: int, arrival: int) -> bytes:
        rng = self._rng
        return direct(
            b"LOG", ets, arrival,
            b'"mid":"LP.%d.%b","actor":{"id":"org.sunbird.learning.platform","type":"User"},'
            b'"context":{"channel":"in.ekstep","pdata":{"id":"prod.prod.learning.platform","pid":"learning-service",'
            b'"ver":"1.0"},"env":"system"},"edata":{"level":"ERROR","type":"system","message":"The event %b of topic '
            b"prod.learning.job.request was not read. The broker said: the group is rebalancing, so a rejoin is needed "
            b'(attempt %d); it is tried again in 500 ms."}' % (ets, uuid(rng), content_id(rng), rng.randrange(1, 9)),
        )  # fmt: skip

    def _user_error(self, ets: int, arrival: int) -> bytes:
        rng = self._rng
        request = uuid(rng)
        return direct(
            b"ERROR", ets, arrival,
            b'"mid":"%b","actor":{"id":"%b","type":"User"},"context":{"channel":"%b","pdata":{"pid":"lms-service","ver":"1.0"},'
            b'"env":"Batch","cdata":[{"id":"%b","type":"Request"}],"rollup":{}},"edata":{"err":"MANDATORY_PARAMETER_MISSING",'
            b'"stacktrace":"org.sunbird.validator.RequestValidator.lambda$mandatory$0(RequestValidator.java:52)",'
            b'"errtype":"api_access"}' % (request, uuid(rng), rng.choice(CHANNELS), request),
        )  # fmt: skip

    def _node_error(self, ets: int, arrival: int) -> bytes:
        rng = self._rng
        return extracted(
            b"ERROR", ets, arrival,
            b'"mid":"ERROR:%b","actor":{"id":"%b","type":"user"},"context":{"channel":"%b",'
            b'"pdata":{"id":"prod.prod.content-service","ver":"1.0","pid":"sunbird-content-service"},"env":"contentplayer",'
            b'"sid":"","did":"","cdata":[],"rollup":{}},"object":{"id":"%b","type":"course","ver":"","rollup":{}},"tags":[],'
            b'"edata":{"err":"ERR_TOKEN_INVALID","errtype":"UNAUTHORIZED_ACCESS","stacktrace":"{\\"id\\":\\"api.review\\",'
            b'\\"params\\":{\\"resmsgid\\":\\"%b\\",\\"status\\":\\"failed\\",\\"errmsg\\":\\"Access denied\\"},'
            b'\\"responseCode\\":\\"UNAUTHORIZED_ACCESS\\",\\"result\\":{}}"}'
            % (hexadecimal(rng), uuid(rng), rng.choice(CHANNELS), content_id(rng), uuid(rng)),
        )  # fmt: skip
