import Access
import Engine
import HTTPTypes
import Hummingbird
import KeyEncoding
import Model
import RoutingTable
import Telemetry

/// Why a data request was refused, as the caller reads it (RFC 9457).
struct GatewayProblem: Error {
    let status: HTTPResponse.Status
    /// Stable, for programs.
    let code: String
    let detail: String
    var hint = ""
    /// What of the request is at fault: a parameter, a column, `body`, or a place in a batch.
    var field: String?
    /// When to ask again; nil: asking again changes nothing.
    var retryAfter: Span?
    /// Where the rows are, as this node knows it; mends the caller's route (rule E2).
    var partition: String?
    /// The methods that the resource has, when it lacks the one that was used.
    var allow: String?

    init(
        _ status: HTTPResponse.Status, _ code: String, _ detail: String, hint: String = "", field: String? = nil,
        retryAfter: Span? = nil, partition: String? = nil, allow: String? = nil
    ) {
        self.status = status
        self.code = code
        self.detail = detail
        self.hint = hint
        self.field = field
        self.retryAfter = retryAfter
        self.partition = partition
        self.allow = allow
    }

    static func badRequest(_ code: String, _ detail: String, hint: String = "", field: String?) -> GatewayProblem {
        GatewayProblem(.badRequest, code, detail, hint: hint, field: field)
    }

    static func tooLarge(_ code: String, bytes: Int, limit: Int, field: String) -> GatewayProblem {
        GatewayProblem(
            .contentTooLarge, code, "\(bytes) bytes; the limit is \(limit)", hint: "send less at a time", field: field)
    }

    static func notOffered(_ method: HTTPRequest.Method, but offered: String) -> GatewayProblem {
        GatewayProblem(
            .methodNotAllowed, "METHOD_NOT_ALLOWED", "\(method) is not offered here", hint: "offered: \(offered)",
            field: "method",
            allow: offered)
    }

    init(_ refusal: TokenRefusal) {
        self.init(
            refusal.isForbidden ? .forbidden : .unauthorized, refusal.code, refusal.detail,
            hint: refusal.isForbidden ? "ask for a token that grants this action on this table" : "ask for a new data token")
    }

    init(_ error: KeyTextError, field: String) {
        let column =
            switch error {
            case .syntax: String?.none
            case .misfit(let misfit): misfit.column.name
            case .key(let error): error.column?.name
            }
        self.init(
            .badRequest, "INVALID_KEY", error.description,
            hint: "a key is a JSON array of the key columns' values, in key order"
                + (column.map { "; at fault: column '\($0)'" } ?? ""), field: field)
    }

    init(_ fault: QueryFault) {
        self.init(.badRequest, fault.code, fault.detail, hint: fault.hint, field: fault.field)
    }

    init(_ error: EngineError) {
        switch error {
        case .unknownStorage, .unknownPartition:
            self.init(
                .serviceUnavailable, "RECOVERING", "the replica on this node is being made or removed",
                retryAfter: .milliseconds(100))
        case .busy:
            self.init(
                .serviceUnavailable, "ENGINE_BUSY", error.description, hint: "ask again", retryAfter: .milliseconds(200))
        case .diskFull:
            self.init(
                .serviceUnavailable, "DISK_FULL", error.description, hint: "free space on the node, or move partitions away",
                retryAfter: .seconds(5))
        default:
            self.init(
                .serviceUnavailable, "ENGINE_FAILED", error.description, hint: "see the node's log and status",
                retryAfter: .seconds(1))
        }
    }

    /// - Parameter known: the partition as the request was routed, for refusals that do not say where it lives now.
    init(_ refusal: DataRefusal, routedTo known: PartitionDescriptor, in routes: Routes) {
        switch refusal {
        case .notHere(let descriptor):
            // What was merged meanwhile lives on in another: the client is told of that one.
            let now = descriptor ?? routes.heir(of: known.id) ?? known
            self = .elsewhere(now, "the partition is led by another node", in: routes)
        case .staleEpoch(let descriptor):
            self = .elsewhere(descriptor, "the partition changed hands", in: routes)
        case .fenced:
            self.init(
                .serviceUnavailable, "PARTITION_FENCED", "writes are stopped for a moment while the partition changes hands",
                hint: "ask again", retryAfter: .milliseconds(20))
        case .notEnoughInSync(let have, let need):
            self.init(
                .serviceUnavailable, "NOT_ENOUGH_IN_SYNC", "\(have) replicas in sync; writes need \(need)",
                hint: "bring back a replica's node, or wait for the repair", retryAfter: .seconds(1))
        case .noLease:
            self.init(
                .serviceUnavailable, "NO_LEASE", "the right to serve is not proved at this moment",
                hint: "ask again; eventual reads are served meanwhile", retryAfter: .milliseconds(100))
        case .tooStale(let age):
            self = .tooStale(age, known, in: routes)
        case .recovering:
            self.init(
                .serviceUnavailable, "RECOVERING", "the replica compares and catches up", hint: "ask again",
                retryAfter: .milliseconds(20))
        case .overloaded:
            self.init(
                .tooManyRequests, "OVERLOADED", "too many requests wait at this node", hint: "send fewer at a time",
                retryAfter: .milliseconds(50))
        case .diskFull(let why):
            self.init(
                HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage"), "DISK_NEARLY_FULL", why,
                hint: "make room on the node's disk, or move the partition: reads are served meanwhile", retryAfter: .seconds(5)
            )
        case .keyReused:
            self.init(
                .unprocessableContent, "IDEMPOTENCY_KEY_REUSED", "the key counts for another write",
                hint: "make a new key for each write", field: "Idempotency-Key")
        case .keyExpired(let age):
            self.init(
                .unprocessableContent, "IDEMPOTENCY_KEY_EXPIRED",
                "by this node's clock the key was made \(age) ago; \(Limits.writeKeyAge) are allowed, and \(Limits.writeKeyLead) ahead",
                hint:
                    "this request did nothing; read the row to learn whether an earlier one did. For a new key, set the clock",
                field: "Idempotency-Key")
        case .outcomeUnknown(let why):
            self.init(
                .gatewayTimeout, "OUTCOME_UNKNOWN", why,
                hint: "the write may or may not have happened: send it again under the same Idempotency-Key, or read the row")
        case .unavailable(let why):
            self.init(.serviceUnavailable, "UNAVAILABLE", why, retryAfter: .seconds(1))
        }
    }

    private static func tooStale(_ age: Span?, _ partition: PartitionDescriptor, in routes: Routes) -> GatewayProblem {
        let detail = age.map { "the rows here may be \($0) old" } ?? "how old the rows here may be is not known yet"
        return GatewayProblem(
            .serviceUnavailable, "TOO_STALE", detail, hint: "ask another replica, or the primary, which 'partition' names",
            field: "max_staleness_ms", retryAfter: .milliseconds(100), partition: RouteText.partition(partition, in: routes))
    }

    private static func elsewhere(
        _ partition: PartitionDescriptor, _ detail: String, in routes: Routes
    ) -> GatewayProblem {
        GatewayProblem(
            .misdirectedRequest, "NOT_HERE", detail, hint: "ask the gateway that 'partition' names",
            retryAfter: partition.primary == nil ? .milliseconds(200) : .zero,
            partition: RouteText.partition(partition, in: routes))
    }

    var response: Response {
        var members = [
            ("type", JSONScalar.string("about:blank").text), ("title", JSONScalar.string(status.reasonPhrase).text),
            ("status", String(status.code)), ("code", JSONScalar.string(code).text),
            ("detail", JSONScalar.string(detail).text), ("hint", JSONScalar.string(hint).text),
            ("retryable", retryAfter == nil ? "false" : "true"),
        ]
        if let field { members.append(("field", JSONScalar.string(field).text)) }
        if let retryAfter { members.append(("retry_after_ms", String(retryAfter.milliseconds))) }
        if let partition { members.append(("partition", partition)) }
        var response = JSONText.response(status, JSONText.object(members), type: "application/problem+json")
        if let retryAfter, status == .serviceUnavailable || status == .tooManyRequests || status.code == 507 {
            // The field counts whole seconds; the body says it more finely.
            response.headers[.retryAfter] = String(max(1, (retryAfter.milliseconds + 999) / 1_000))
        }
        if let allow { response.headers[.allow] = allow }
        if status == .unauthorized { response.headers[.wwwAuthenticate] = "Bearer" }
        return response
    }
}
