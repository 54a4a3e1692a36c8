# SPDX-License-Identifier: Apache-2.0
"""What a service node answers to which storage request: (name, method, parameters, status, body). Parameters are made by a function of
a fresh account, since signatures have times in them. The body is a text, or a function that looks at the answer. All of
them run over HTTPS, OMQ and onion requests; what is different there is said at the end."""
import base64

from session_client import Account, b64, now_ms

DAY = 86_400_000
HASH = "A" * 43
FAKE = "/" * 43  # what session.js asks for where it has no hash: 43 characters, with bits that belong to no byte


def has(*names):
    return lambda body: all(name in body for name in names)


def without(params, *names):
    return {name: value for name, value in params.items() if name not in names}


def changed(params, **values):
    return {**params, **values}


def subaccount(account, flags, method, params, parts, by=None):
    """`params`, signed by somebody with a token of the account."""
    person = by or Account(3)
    token, token_signature = account.token(person, flags)
    params.update(pubkey=account.id, signature=person.sign(*parts), subaccount=token, subaccount_sig=token_signature)
    return method, params


INVALID = "invalid request: "
STORE = [
    ("stores", lambda a: a.store(b"x"), 200, has("hash", "swarm", "t", "hf")),
    ("stores nothing", lambda a: a.store(b""), 200, has("hash")),
    ("stores the most there is", lambda a: a.store(b"x" * 76_800), 200, has("hash")),
    ("stores signed", lambda a: a.store(b"x", 5), 200, has("hash")),
    ("stores signed below zero", lambda a: a.store(b"x", -5), 200, has("hash")),
    ("stores into the outbox", lambda a: a.store(b"x", -1), 200, has("hash")),
    ("stores into an old group", lambda a: a.store(b"x", -10), 200, has("hash")),
    ("stores for the shortest time", lambda a: a.store(b"x", ttl=10_000), 200, has("hash")),
    ("stores for the longest time", lambda a: a.store(b"x", ttl=14 * DAY), 200, has("hash")),
    ("stores privately for longer", lambda a: a.store(b"x", 5, ttl=30 * DAY), 200, has("hash")),
    ("stores with an expiry", lambda a: without(a.store(b"x", expiry=now_ms() + 60_000), "ttl"), 200, has("hash")),
    ("stores with numbers as texts", lambda a: changed(a.store(b"x"), ttl="60000", timestamp=str(now_ms())), 200,
     has("hash")),
    ("stores under the old name", lambda a: changed(without(a.store(b"x"), "pubkey"), pubKey=a.id), 200, has("hash")),
    ("stores with what nobody knows", lambda a: a.store(b"x", jsonrpc="2.0", maxSize=1.5, foo=None), 200, has("hash")),
    ("stores with null for what is not there", lambda a: a.store(b"x", expiry=None, signature=None), 200, has("hash")),
    ("stores without padding", lambda a: changed(a.store(b"x"), data=b64(b"x").rstrip("=")), 200, has("hash")),
    ("stores with bits that belong to no byte", lambda a: changed(a.store(b"x"), data="YWJ="), 200, has("hash")),
    ("no data", lambda a: without(a.store(b"x"), "data"), 400, INVALID + "Required field 'data' missing"),
    ("no timestamp", lambda a: without(a.store(b"x"), "timestamp"), 400, INVALID + "Required field 'timestamp' missing"),
    ("no ttl", lambda a: without(a.store(b"x"), "ttl"), 400, INVALID + "Required field 'expiry' or 'ttl' missing"),
    ("ttl and expiry", lambda a: a.store(b"x", expiry=now_ms() + 60_000), 400,
     INVALID + "Cannot specify both 'expiry' and 'ttl'"),
    ("no account", lambda a: without(a.store(b"x"), "pubkey"), 400, INVALID + "Required field 'pubkey' missing"),
    ("two accounts", lambda a: a.store(b"x", pubKey=a.id), 400, INVALID + "Cannot specify both 'pubkey' and 'pubKey'"),
    ("short account", lambda a: changed(a.store(b"x"), pubkey=a.id[:-2]), 400,
     INVALID + "Pubkey must be 66 hex digits (33 bytes) long"),
    ("account not hex", lambda a: changed(a.store(b"x"), pubkey="z" * 66), 400,
     INVALID + "Pubkey must be 66 hex digits (33 bytes) long"),
    ("account a number", lambda a: changed(a.store(b"x"), pubkey=5), 400,
     INVALID + "Invalid value given for 'pubkey': expected string"),
    ("data not base64", lambda a: changed(a.store(b"x"), data="?"), 400,
     INVALID + "Invalid 'data' value: not base64 encoded"),
    ("data a list", lambda a: changed(a.store(b"x"), data=[]), 400, INVALID + "Invalid value given for 'data': expected string"),
    ("too much data", lambda a: a.store(b"x" * 76_803), 400,
     INVALID + "Message body exceeds maximum allowed length of 76800 bytes"),
    ("namespace too large", lambda a: changed(a.store(b"x"), namespace=32_770), 400,
     INVALID + "Invalid value given for 'namespace': value out of range"),
    ("namespace a text", lambda a: changed(a.store(b"x"), namespace="0"), 400,
     INVALID + "Invalid value given for 'namespace': expected 16-bit integer"),
    ("ttl negative", lambda a: changed(a.store(b"x"), ttl=-5), 400,
     INVALID + "Invalid value given for 'ttl': expected positive integer"),
    ("ttl no number", lambda a: changed(a.store(b"x"), ttl="soon"), 400,
     INVALID + "Invalid value given for 'ttl': expected positive integer"),
    ("too short a life", lambda a: a.store(b"x", ttl=9_999), 403, "Provided expiry/TTL is not valid."),
    ("too long a life", lambda a: a.store(b"x", ttl=14 * DAY + 1), 403, "Provided expiry/TTL is not valid."),
    ("too long a private life", lambda a: a.store(b"x", 5, ttl=30 * DAY + 1), 403, "Provided expiry/TTL is not valid."),
    ("from the future", lambda a: a.store(b"x", at=now_ms() + 15_000), 406, "Timestamp error: check your clock"),
    ("from the past", lambda a: a.store(b"x", ttl=10_000, at=now_ms() - 60_000), 406, "Timestamp error: check your clock"),
    ("time in seconds", lambda a: a.store(b"x", at=now_ms() // 1000), 406, "Timestamp error: check your clock"),
    ("private without a signature", lambda a: changed(a.store(b"x"), namespace=1), 401,
     "store: signature required to store to namespace 1"),
    ("outbox without a signature", lambda a: changed(a.store(b"x"), namespace=-21), 401,
     "store: signature required to store to namespace -21"),
    ("another's signature", lambda a: changed(Account(5).store(b"x", 5), pubkey=a.id), 401,
     "store signature verification failed"),
    ("an old signature", lambda a: changed(a.store(b"x", 5), sig_timestamp=now_ms() - 61_000), 406,
     "store signature timestamp too far from current time"),
    ("a signature in seconds", lambda a: changed(a.store(b"x", 5), sig_timestamp=now_ms() // 1000), 400,
     INVALID + "Invalid timestamp for 'sig_timestamp': timestamp must be in milliseconds"),
    ("a short signature", lambda a: changed(a.store(b"x", 5), signature="AAAA"), 400,
     INVALID + "invalid signature: expected base64 encoded Ed25519 signature"),
    ("a key that is not hex", lambda a: changed(a.store(b"x", 5), pubkey_ed25519="z" * 64), 400,
     INVALID + "invalid pubkey_ed25519: value is not hex"),
    ("a key that is too short", lambda a: changed(a.store(b"x", 5), pubkey_ed25519="00"), 400,
     INVALID + "Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey"),
    ("a subaccount without its signature", lambda a: a.store(b"x", 5, subaccount="A" * 48), 400,
     INVALID + "invalid subaccount: subaccount_sig is required when using subaccount"),
    ("a subaccount that is none", lambda a: a.store(b"x", 5, subaccount="A", subaccount_sig="A" * 86), 400,
     INVALID + "invalid subaccount: expected base64 or hex-encoded subaccount token"),
]
RETRIEVE = [
    ("retrieves", lambda a: a.retrieve(), 200, lambda body: body["messages"] == [] and body["more"] is False),
    ("retrieves privately", lambda a: a.retrieve(5), 200, has("messages", "t", "hf")),
    ("retrieves few", lambda a: a.retrieve(max_count=1), 200, has("messages")),
    ("retrieves little", lambda a: a.retrieve(max_size=-10), 200, has("messages")),
    ("retrieves after nothing", lambda a: a.retrieve(last_hash=""), 200, has("messages")),
    ("retrieves after the unknown", lambda a: a.retrieve(last_hash=HASH), 200, has("messages")),
    ("retrieves after a fake", lambda a: a.retrieve(last_hash=FAKE), 200, has("messages")),
    ("retrieves under the old name", lambda a: a.retrieve(lastHash=HASH), 200, has("messages")),
    ("retrieves an outbox", lambda a: {"pubkey": a.id, "namespace": -1}, 200, has("messages")),
    ("retrieves an old group", lambda a: {"pubkey": a.id, "namespace": -10}, 200, has("messages")),
    ("retrieves without a signature", lambda a: {"pubkey": a.id}, 401, "retrieve: request signature required"),
    ("retrieves privately without one", lambda a: {"pubkey": a.id, "namespace": 5}, 400,
     INVALID + "Required field 'signature' missing"),
    ("retrieves with a time alone", lambda a: {"pubkey": a.id, "timestamp": now_ms()}, 400,
     INVALID + "Required field 'signature' missing"),
    ("retrieves without a time", lambda a: without(a.retrieve(), "timestamp"), 400,
     INVALID + "Required field 'timestamp' missing"),
    ("retrieves too late", lambda a: a.retrieve(at=now_ms() - 61_000), 406,
     "retrieve timestamp too far from current time"),
    ("retrieves too early", lambda a: a.retrieve(at=now_ms() + 70_000), 406,
     "retrieve timestamp too far from current time"),
    ("retrieves in seconds", lambda a: a.retrieve(at=now_ms() // 1000), 400,
     INVALID + "Invalid timestamp for 'timestamp': timestamp must be in milliseconds"),
    ("retrieves another namespace", lambda a: changed(a.retrieve(5), namespace=6), 401,
     "retrieve signature verification failed"),
    ("retrieves another's", lambda a: changed(a.retrieve(), pubkey=Account(5).id), 401,
     "retrieve signature verification failed"),
    ("retrieves without the key", lambda a: without(a.retrieve(), "pubkey_ed25519"), 401,
     "retrieve signature verification failed"),
    ("a short last hash", lambda a: a.retrieve(last_hash="AAAA"), 400,
     INVALID + "Invalid last_hash: expected base64 (43 chars)"),
    ("a last hash that is none", lambda a: a.retrieve(last_hash="?" * 43), 400, INVALID + "Invalid last_hash: not base64"),
    ("two last hashes", lambda a: a.retrieve(last_hash=HASH, lastHash=HASH), 400,
     INVALID + "Cannot specify both 'last_hash' and 'lastHash'"),
    ("a count that is none", lambda a: a.retrieve(max_count="1"), 400,
     INVALID + "Invalid value given for 'max_count': expected integer"),
]
CHANGES = [
    ("delete", "deletes", lambda a: a.delete(HASH), 200, has("swarm", "t", "hf")),
    ("delete", "deletes one alone", lambda a: changed(a.delete(HASH), messages=HASH), 200, has("swarm")),
    ("delete", "deletes a fake", lambda a: a.delete(FAKE), 200, has("swarm")),
    ("delete", "deletes what has to be there", lambda a: a.delete(HASH, required=True), 404, has("swarm")),
    ("delete", "deletes nothing", lambda a: a.delete(), 400, INVALID + "messages does not contain any message hashes"),
    ("delete", "deletes without a list", lambda a: without(a.delete(HASH), "messages"), 400,
     INVALID + "Required field 'messages' missing"),
    ("delete", "deletes what is no hash", lambda a: a.delete("x"), 400, INVALID + "invalid message hash: x"),
    ("delete", "deletes what is not base64", lambda a: a.delete("-" * 43), 400, INVALID + "invalid message hash: " + "-" * 43),
    ("delete", "deletes numbers", lambda a: changed(a.delete(HASH), messages=[1]), 400,
     INVALID + "Invalid value given for 'messages': expected string array"),
    ("delete", "deletes unsigned", lambda a: without(a.delete(HASH), "signature"), 400,
     INVALID + "Required field 'signature' missing"),
    ("delete", "deletes another's", lambda a: changed(a.delete(HASH), pubkey=Account(5).id), 401,
     "delete_msgs signature verification failed"),
    ("delete_all", "deletes all", lambda a: a.timed("delete_all", ""), 200, has("swarm", "t")),
    ("delete_all", "deletes all everywhere", lambda a: a.timed("delete_all", "all", namespace="all"), 200, has("swarm")),
    ("delete_all", "deletes a namespace", lambda a: a.timed("delete_all", 5, namespace=5), 200, has("swarm")),
    ("delete_all", "deletes all too late", lambda a: a.timed("delete_all", "", at=now_ms() - 61_000), 406,
     "delete_all timestamp too far from current time"),
    ("delete_all", "deletes another namespace", lambda a: a.timed("delete_all", 5, namespace=6), 401,
     "delete_all signature verification failed"),
    ("delete_all", "deletes a namespace that is none", lambda a: a.timed("delete_all", "", namespace="none"), 400,
     INVALID + "Invalid value given for 'namespace': expected integer or \"all\""),
    ("delete_before", "deletes the old", lambda a: a.timed("delete_before", "", field="before"), 200, has("swarm")),
    ("delete_before", "deletes the future", lambda a: a.timed("delete_before", "", field="before", at=now_ms() + 70_000),
     401, "delete_before timestamp too far in the future"),
    ("delete_before", "deletes the old of another", lambda a: changed(a.timed("delete_before", "", field="before"),
                                                                      pubkey=Account(5).id), 401,
     "delete_before signature verification failed"),
    ("expire_all", "shortens all", lambda a: a.timed("expire_all", "", field="expiry"), 200, has("swarm")),
    ("expire_all", "shortens into the past", lambda a: a.timed("expire_all", "", field="expiry", at=now_ms() - 61_000), 406,
     "expire_all timestamp should be >= current time"),
    ("expire_all", "shortens another's", lambda a: a.timed("expire_all", "x", field="expiry"), 401,
     "expire_all signature verification failed"),
    ("expire", "expires", lambda a: expire(a, now_ms() + 60_000), 200, has("swarm", "t")),
    ("expire", "shortens", lambda a: expire(a, now_ms() + 60_000, "shorten"), 200, has("swarm")),
    ("expire", "extends", lambda a: expire(a, now_ms() + 60_000, "extend"), 200, has("swarm")),
    ("expire", "extends a fake", lambda a: expire(a, now_ms() + 60_000, "extend", FAKE), 200, has("swarm")),
    ("expire", "shortens and extends", lambda a: changed(expire(a, now_ms() + 60_000, "extend"), shorten=True), 400,
     INVALID + "cannot specify both 'shorten' and 'extend'"),
    ("expire", "expires in the past", lambda a: expire(a, now_ms() - 61_000), 401,
     "expire: timestamp should be >= current time"),
    ("expire", "expires without a time", lambda a: without(expire(a, now_ms()), "expiry"), 400,
     INVALID + "Required field 'expiry' missing"),
    ("expire", "expires at no time", lambda a: changed(expire(a, now_ms()), expiry=[]), 400,
     INVALID + "'expiry' does not contain any expiration timestamps"),
    ("expire", "expires at too many times", lambda a: changed(expire(a, now_ms()), expiry=[now_ms()] * 2), 400,
     INVALID + "'expiry' must be a single expiry, or the same length as 'messages'"),
    ("expire", "expires another's", lambda a: changed(expire(a, now_ms() + 60_000), shorten=True), 401,
     "expire: signature verification failed"),
    ("get_expiries", "looks expiries up", lambda a: expiries(a), 200, lambda body: body == {"expiries": {}}),
    ("get_expiries", "looks up a fake", lambda a: expiries(a, None, FAKE), 200, lambda body: body == {"expiries": {}}),
    ("get_expiries", "looks up what is no hash", lambda a: expiries(a, None, "x"), 400, INVALID + "invalid message hash: x"),
    ("get_expiries", "looks up too late", lambda a: expiries(a, now_ms() - 61_000), 406,
     "get_expiries timestamp too far from current time"),
    ("get_expiries", "looks up another's", lambda a: changed(expiries(a), pubkey=Account(5).id), 401,
     "get_expiries signature verification failed"),
    ("get_expiries", "looks up nothing", lambda a: changed(expiries(a), messages=[]), 400,
     INVALID + "messages does not contain any message hashes"),
]
OTHERS = [
    ("get_swarm", "finds a swarm", lambda a: {"pubkey": a.id}, 200, has("snodes", "swarm", "t", "hf")),
    ("get_snodes_for_pubkey", "finds a swarm the old way", lambda a: {"pubKey": a.id}, 200, has("snodes", "swarm")),
    ("get_swarm", "finds nobody's swarm", lambda a: {}, 400, INVALID + "Required field 'pubkey' missing"),
    ("info", "says what it is", lambda a: {}, 200, lambda body: body["version"] == [2, 8, 0] and body["hf"] == [19, 4]),
    ("oxend_request", "lists nodes", lambda a: {"endpoint": "get_service_nodes", "params": {}}, 200,
     lambda body: len(body["result"]["service_node_states"]) > 1),
    ("oxend_request", "resolves no names", lambda a: {"endpoint": "ons_resolve", "params": {}}, 400, None),
    ("oxend_request", "does nothing else", lambda a: {"endpoint": "stop"}, 400, INVALID + "Invalid oxend endpoint 'stop'"),
    ("oxend_request", "does not nothing", lambda a: {}, 400, INVALID + "Required field 'endpoint' missing"),
    ("batch", "does many things", lambda a: {"requests": [part("info"), part("info")]}, 200,
     lambda body: [one["code"] for one in body["results"]] == [200, 200]),
    ("batch", "does them though some fail", lambda a: {"requests": [part("retrieve", pubkey=a.id), part("info")]}, 200,
     lambda body: [one["code"] for one in body["results"]] == [401, 200]),
    ("batch", "does none where one cannot be read", lambda a: {"requests": [part("info"), part("store")]}, 400,
     INVALID + "Required field 'timestamp' missing"),
    ("batch", "does twenty", lambda a: {"requests": [part("info")] * 20}, 200, lambda body: len(body["results"]) == 20),
    ("batch", "does no more", lambda a: {"requests": [part("info")] * 21}, 400,
     INVALID + "Invalid batch request: subrequest limit exceeded"),
    ("batch", "does not nothing", lambda a: {"requests": []}, 400,
     INVALID + "Invalid batch request: no valid \"requests\" field"),
    ("batch", "does no batch", lambda a: {"requests": [part("batch")]}, 400,
     INVALID + "Invalid batch subrequest: subrequests may not contain meta-requests"),
    ("batch", "does no fly", lambda a: {"requests": [part("fly")]}, 400,
     INVALID + "Invalid batch subrequest: invalid method \"fly\""),
    ("batch", "does nothing without parameters", lambda a: {"requests": [{"method": "info"}]}, 400,
     INVALID + "Invalid batch request: subrequests must have method/params keys"),
    ("sequence", "does one after the other", lambda a: {"requests": [part("info"), part("info")]}, 200,
     lambda body: [one["code"] for one in body["results"]] == [200, 200]),
    ("sequence", "stops where one fails", lambda a: {"requests": [part("info"), part("retrieve", pubkey=a.id), part("info")]},
     200, lambda body: [one["code"] for one in body["results"]] == [200, 401]),
    ("sequence", "does none where one cannot be read", lambda a: {"requests": [part("info"), part("store")]}, 400,
     INVALID + "Required field 'timestamp' missing"),
    ("ifelse", "does it if", lambda a: {"if": {"hf_at_least": [19, 4]}, "then": part("info")}, 200,
     lambda body: body["condition"] is True and body["result"]["code"] == 200),
    ("ifelse", "does something else", lambda a: {"if": {"v_before": [2]}, "then": part("store"), "else": part("info")}, 200,
     lambda body: body["condition"] is False and body["result"]["code"] == 200),
    ("ifelse", "does nothing else", lambda a: {"if": {"height_before": 0}, "then": part("info")}, 200,
     lambda body: body["condition"] is False and "result" not in body),
    ("ifelse", "does not without an if", lambda a: {"then": part("info")}, 400,
     INVALID + "Invalid ifelse request: no valid \"if\" field"),
    ("ifelse", "does not without a condition", lambda a: {"if": {}, "then": part("info")}, 400,
     INVALID + "Invalid ifelse request: must specify at least one \"if\" condition"),
    ("ifelse", "does not without a then", lambda a: {"if": {"hf_before": [1]}}, 400,
     INVALID + "Invalid ifelse request: at least one of \"then\"/\"else\" required"),
    ("revoke_subaccount", "revokes", lambda a: tokens(a, "revoke"), 200, has("swarm", "t")),
    ("revoke_subaccount", "revokes too late", lambda a: tokens(a, "revoke", now_ms() - 61_000), 406,
     "revoke_subaccount timestamp too far from current time"),
    ("revoke_subaccount", "revokes for another", lambda a: changed(tokens(a, "revoke"), pubkey=Account(5).id), 401,
     "revoke_subaccount signature verification failed"),
    ("revoke_subaccount", "revokes nothing", lambda a: without(tokens(a, "revoke"), "revoke"), 400,
     INVALID + "Required field 'revoke' missing"),
    ("revoke_subaccount", "revokes what is none", lambda a: changed(tokens(a, "revoke"), revoke="x"), 400,
     INVALID + "invalid revoke: expected base64 or hex-encoded subaccount tag"),
    ("revoke_subaccount", "revokes too many", lambda a: changed(tokens(a, "revoke"), revoke=["A" * 48] * 51), 400,
     INVALID + "invalid revoke: cannot revoke more than 50 subaccounts at once"),
    ("unrevoke_subaccount", "takes it back", lambda a: tokens(a, "unrevoke"), 200, has("swarm")),
    ("unrevoke_subaccount", "takes many back", lambda a: tokens(a, "unrevoke", count=61), 200, has("swarm")),
    ("unrevoke_subaccount", "takes too many back", lambda a: changed(tokens(a, "unrevoke"), unrevoke=["A" * 48] * 251), 400,
     INVALID + "invalid unrevoke: cannot unrevoke more than 250 subaccounts at once"),
    ("revoked_subaccounts", "lists the revoked", lambda a: a.timed("revoked_subaccounts"), 200,
     lambda body: body["revoked_subaccounts"] == []),
    ("revoked_subaccounts", "lists another's", lambda a: changed(a.timed("revoked_subaccounts"), pubkey=Account(5).id), 401,
     "revoked_subaccounts signature verification failed"),
]
GROUPS = [
    ("retrieve", "a member reads", 1, lambda a: ({"namespace": 11, "timestamp": a.at}, ["retrieve", 11, a.at]), 200,
     has("messages")),
    ("retrieve", "a member without the right does not", 2,
     lambda a: ({"namespace": 11, "timestamp": a.at}, ["retrieve", 11, a.at]), 401,
     "retrieve signature verification failed"),
    ("store", "a member writes", 2, lambda a: (
        {"namespace": 11, "timestamp": a.at, "ttl": 60_000, "data": b64(b"x")}, ["store", 11, a.at]), 200, has("hash")),
    ("store", "a member who only reads does not", 1, lambda a: (
        {"namespace": 11, "timestamp": a.at, "ttl": 60_000, "data": b64(b"x")}, ["store", 11, a.at]), 401,
     "store signature verification failed"),
    ("store", "a member replaces the outbox", 6, lambda a: (
        {"namespace": -1, "timestamp": a.at, "ttl": 60_000, "data": b64(b"x")}, ["store", -1, a.at]), 200, has("hash")),
    ("store", "a member who may not delete does not", 2, lambda a: (
        {"namespace": -1, "timestamp": a.at, "ttl": 60_000, "data": b64(b"x")}, ["store", -1, a.at]), 401,
     "store signature verification failed"),
    ("delete", "a member deletes", 4, lambda a: ({"messages": [HASH]}, ["delete", HASH]), 200, has("swarm")),
    ("delete", "a member who may not delete leaves it", 3, lambda a: ({"messages": [HASH]}, ["delete", HASH]), 401,
     "delete_msgs signature verification failed"),
    ("expire", "a writer does not shorten", 2, lambda a: (
        {"messages": [HASH], "expiry": a.at + 60_000, "shorten": True}, ["expire", "shorten", a.at + 60_000, HASH]), 400,
     "expire: shorten parameter cannot be used with this subaccount token (missing delete access)"),
    ("expire", "a writer extends", 2, lambda a: (
        {"messages": [HASH], "expiry": a.at + 60_000, "extend": True}, ["expire", "extend", a.at + 60_000, HASH]), 200,
     has("swarm")),
]


def part(method, **params):
    return {"method": method, "params": params}


def expire(account, expiry, mode="", message=HASH):
    more = {mode: True} if mode else {}
    return account.signed(["expire", mode, expiry, message], messages=[message], expiry=expiry, **more)


def expiries(account, at=None, message=HASH):
    at = at or now_ms()
    return account.signed(["get_expiries", at, message], messages=[message], timestamp=at)


def tokens(account, name, at=None, count=1):
    at = at or now_ms()
    some = [account.token(Account(3), 7)[0] for _ in range(count)]
    return account.signed([name + "_subaccount", at, *map(base64.b64decode, some)], **{name: some}, timestamp=at)


def group_case(flags, make):
    def params(_):
        group = Account(3)
        group.at = now_ms()
        return subaccount(group, flags, "", *make(group))[1]
    return params


CASES = (
    [(name, "store", params, status, body) for name, params, status, body in STORE]
    + [(name, "retrieve", params, status, body) for name, params, status, body in RETRIEVE]
    + [(name, method, params, status, body) for method, name, params, status, body in CHANGES + OTHERS]
    + [(name, method, group_case(flags, make), status, body) for method, name, flags, make, status, body in GROUPS]
)

# What has no RPC status on a transport: OMQ knows its methods itself, and does not wrap them.
WRAPPED = [
    ("{", 400, "invalid json"),
    ("7", 400, "invalid json: no `method` field"),
    ('{"params":{}}', 400, "invalid json: no `method` field"),
    ('{"method":"info"}', 400, "invalid json: no `params` field"),
    ('{"method":"info","params":[]}', 400, "invalid json: no `params` field"),
    ('{"method":"fly","params":{}}', 400, "no method fly"),
]

# What no packet carries: longer than it has room for, no base64 (the client makes bytes of it before it sends), or no whole number.
NOT_BY_PACKET = ["a subaccount that is none", "data not base64", "revokes too many", "stores the most there is",
                 "stores with what nobody knows", "takes many back", "takes too many back", "too much data"]

# Packets have bt. There a number is no text, booleans are 0 and 1, and signatures and tokens are bytes: (status, body) of those cases.
BT_SAYS_OTHERWISE = {
    ("store", "stores with numbers as texts"): (400, INVALID + "Invalid value given for 'timestamp': expected positive integer"),
    ("store", "a short signature"): (400, INVALID + "invalid signature: expected 64-byte Ed25519 signature"),
    ("revoke_subaccount", "revokes what is none"): (400, INVALID + "invalid revoke subaccount: invalid subaccount tag length"),
    ("retrieve", "retrieves"): (200, lambda body: body["messages"] == [] and body["more"] == 0),
    ("ifelse", "does it if"): (200, lambda body: body["condition"] == 1 and body["result"]["code"] == 200),
    ("ifelse", "does something else"): (200, lambda body: body["condition"] == 0 and body["result"]["code"] == 200),
    ("ifelse", "does nothing else"): (200, lambda body: body["condition"] == 0 and "result" not in body),
}
