import Access
import Catalog
package import HTTPTypes
package import Hummingbird
import KeyEncoding
import Model
import NIOCore
import Planning

/// Why a request was refused, as the caller reads it (RFC 9457).
package struct Problem: Error, Hashable, Sendable {
    package let status: HTTPResponse.Status
    /// Stable, for programs.
    package let code: String
    package let detail: String
    package let hint: String
    /// What of the request is at fault.
    package let field: String?
    /// Whether the same request may succeed later with nothing done about it.
    package let isRetryable: Bool
    /// Seconds after which to ask again.
    package let retryAfter: Int?
    /// The methods that the resource has, when it lacks the one that was used.
    package let allow: [String]

    package init(
        _ status: HTTPResponse.Status, _ code: String, _ detail: String, hint: String = "", field: String? = nil,
        isRetryable: Bool = false, retryAfter: Int? = nil, allow: [String] = []
    ) {
        self.status = status
        self.code = code
        self.detail = detail
        self.hint = hint
        self.field = field
        self.isRetryable = isRetryable
        self.retryAfter = retryAfter
        self.allow = allow
    }

    static func invalid(_ field: String, _ detail: String) -> Problem {
        Problem(.badRequest, "INVALID_VALUE", "\(field): \(detail)", hint: "correct the field that is named", field: field)
    }

    init(_ error: InvalidValue, field: String? = nil) {
        self = .invalid(field ?? error.field, error.detail)
    }

    init(_ error: ControlPlaneError) {
        switch error {
        case .noLeader:
            self.init(
                .serviceUnavailable, "NO_LEADER", "no coordinator leads at this moment",
                hint: "ask again, with the same Idempotency-Key if it was a change", isRetryable: true, retryAfter: 1)
        case .outcomeUnknown:
            self.init(
                .serviceUnavailable, "OUTCOME_UNKNOWN", "the change was handed in, and no answer came in time",
                hint: "ask again with the same Idempotency-Key: the first answer is kept", isRetryable: true, retryAfter: 1)
        case .overloaded(let why):
            self.init(
                .serviceUnavailable, "OVERLOADED", why, hint: "send fewer changes at a time", isRetryable: true, retryAfter: 1)
        case .diskFull(let why):
            self.init(
                HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage"), "DISK_NEARLY_FULL", why,
                hint: "make room on the leader's disk: changes are taken again by themselves; reads go on meanwhile",
                isRetryable: true, retryAfter: 5)
        }
    }

    init(_ refusal: TokenRefusal) {
        let hint =
            switch refusal {
            case .wrongAudience: "use a token that coxctl user issue has made"
            default: "get another one by coxctl user issue"
            }
        self.init(refusal.isForbidden ? .forbidden : .unauthorized, refusal.code, refusal.detail, hint: hint)
    }

    init(_ refusal: PlanRefusal) {
        let status: HTTPResponse.Status =
            switch refusal {
            case .unknownPartition: .notFound
            case .unknownNode, .notEnoughNodes, .splitKeyOutsideRange, .cannotMerge(.notNeighbours): .unprocessableContent
            case .nodeNotHealthy, .targetHoldsReplica, .sourceHoldsNoReplica, .targetNotInSync, .alreadyPrimary, .partitionBusy,
                .partitionNotActive, .noPrimary, .nodeBusy, .cannotMerge:
                .conflict
            }
        var isRetryable = false
        switch refusal {
        case .partitionBusy, .nodeBusy, .partitionNotActive, .cannotMerge(.learners): isRetryable = true
        default: break
        }
        self.init(
            status, refusal.code, refusal.detail, hint: refusal.hint, field: refusal.field, isRetryable: isRetryable)
    }

    init(_ rejection: CatalogRejection) {
        self.init(
            rejection.code.status, rejection.code.rawValue, rejection.detail, hint: rejection.hint, field: rejection.field,
            isRetryable: rejection.isRetryable)
    }

    package var response: Response {
        var members: [String: JSONNode] = [
            "type": .string("urn:coxswain:problem:\(code.lowercased().replacing("_", with: "-"))"),
            "title": .string(status.reasonPhrase), "status": .number(status.code), "code": .string(code),
            "detail": .string(detail), "hint": .string(hint), "retryable": .boolean(isRetryable),
        ]
        if let field {
            members["field"] = .string(field)
            members["violations"] = .array([.object(["field": .string(field), "detail": .string(detail)])])
        } else {
            members["violations"] = .array([])
        }
        var response = Response(json: .object(members), status: status, type: "application/problem+json")
        if let retryAfter { response.headers[.retryAfter] = String(retryAfter) }
        if !allow.isEmpty { response.headers[.allow] = allow.joined(separator: ", ") }
        if status == .unauthorized { response.headers[.wwwAuthenticate] = challenge }
        return response
    }

    /// What a refused caller is asked for; a token that was shown and is not good is said to be the reason (RFC 6750 §3.1).
    private var challenge: String {
        let isTokenBad = code.hasPrefix("TOKEN_") && code != TokenRefusal.missing.code
        return "Bearer realm=\"coxswain\"" + (isTokenBad ? ", error=\"invalid_token\"" : "")
    }
}

extension CatalogRejection.Code {
    var status: HTTPResponse.Status {
        switch self {
        case .nodeNotFound, .tableNotFound, .partitionNotFound, .operationNotFound, .entryNotFound, .policyNotFound,
            .gossipKeyNotFound:
            .notFound
        case .partitionRetired: .gone
        case .versionMismatch: .preconditionFailed
        case .joinTokenRefused, .nodeDecommissioned: .forbidden
        case .requestReused, .splitKeyOutside, .notNeighbours, .notEnoughNodes, .unknownEntry, .invalidValue, .limitReached,
            .wrongOperation:
            .unprocessableContent
        case .tableExists, .keyExists, .staleEpoch, .staleSession, .stalePlan, .operationEnded, .pastSwitch, .partitionBusy,
            .nodeBusy, .cleanupPending, .notEnoughInSync, .learnersPresent, .inSyncMemberRemains, .lostDiffer, .nodeUnavailable,
            .tableNotActive, .lastReplica,
            .nodeHoldsReplicas, .primariesDiffer, .replicasDiffer, .storagesDiffer, .notPrimary, .notInSync, .notAReplica,
            .alreadyReplica, .alreadyPrimary, .storeMismatch,
            .notEnoughWitnesses, .generationInUse, .superseded, .nodeInUse, .gossipKeysUnknown, .rotationUnderWay,
            .rotationMovedOn, .gossipKeyInUse:
            .conflict
        }
    }
}

extension Response {
    init(json: JSONNode, status: HTTPResponse.Status = .ok, type: String = "application/json", headers extra: HTTPFields = [:])
    {
        var headers = extra
        headers[.contentType] = type
        headers[.cacheControl] = "no-store"
        self.init(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: json.text + "\n")))
    }
}
