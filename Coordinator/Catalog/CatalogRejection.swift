import Model

/// Why the catalog refuses a command. Nothing has changed but the record of the answer.
///
/// A value, not an enum with payloads: it is kept as the first answer to its request, crosses links to the member that was asked,
/// and becomes a problem document; all three need the same three texts.
package struct CatalogRejection: Error, Hashable, Sendable, CustomStringConvertible {
    package let code: Code
    /// What is the case, with the names and numbers concerned.
    package let detail: String
    /// The part of the request at fault, as the caller wrote it.
    package let field: String?

    /// The texts are cut where they are longer than what people read: refusals are kept with the answers to requests, and a name that
    /// somebody made up must not make a snapshot that no reader accepts.
    package init(_ code: Code, _ detail: String, field: String? = nil) {
        self.code = code
        self.detail = Self.short(detail)
        self.field = field.map(Self.short)
    }

    private static func short(_ text: String) -> String {
        guard text.utf8.count > CatalogLimits.textBytes else { return text }
        return String(decoding: text.utf8.prefix(CatalogLimits.textBytes), as: UTF8.self)
    }

    package var description: String { "\(code.rawValue): \(detail)" }

    /// Stable names, for programs.
    package enum Code: String, Hashable, Sendable, CaseIterable {
        // What is named does not exist, or exists already.
        case nodeNotFound = "NODE_NOT_FOUND"
        case tableNotFound = "TABLE_NOT_FOUND"
        case tableExists = "TABLE_EXISTS"
        case partitionNotFound = "PARTITION_NOT_FOUND"
        case partitionRetired = "PARTITION_RETIRED"
        case operationNotFound = "OPERATION_NOT_FOUND"
        case entryNotFound = "ENTRY_NOT_FOUND"
        case unknownEntry = "UNKNOWN_ENTRY"
        case policyNotFound = "POLICY_NOT_FOUND"
        case keyExists = "KEY_EXISTS"
        case gossipKeysUnknown = "GOSSIP_KEYS_UNKNOWN"
        case gossipKeyNotFound = "GOSSIP_KEY_NOT_FOUND"
        // The state has moved on since the caller looked (rules E1, E6, M7).
        case staleEpoch = "STALE_EPOCH"
        case staleSession = "STALE_SESSION"
        case stalePlan = "STALE_PLAN"
        case versionMismatch = "VERSION_MISMATCH"
        case operationEnded = "OPERATION_ENDED"
        case pastSwitch = "PAST_SWITCH"
        case requestReused = "REQUEST_REUSED"
        // Not now.
        case partitionBusy = "PARTITION_BUSY"
        case nodeBusy = "NODE_BUSY"
        case cleanupPending = "CLEANUP_PENDING"
        case notEnoughInSync = "NOT_ENOUGH_IN_SYNC"
        case learnersPresent = "LEARNERS_PRESENT"
        case inSyncMemberRemains = "IN_SYNC_MEMBER_REMAINS"
        case lostDiffer = "LOST_DIFFER"
        case nodeUnavailable = "NODE_UNAVAILABLE"
        case tableNotActive = "TABLE_NOT_ACTIVE"
        case lastReplica = "LAST_REPLICA"
        case nodeHoldsReplicas = "NODE_HOLDS_REPLICAS"
        case nodeInUse = "NODE_IN_USE"
        case rotationUnderWay = "ROTATION_UNDER_WAY"
        case rotationMovedOn = "ROTATION_MOVED_ON"
        case gossipKeyInUse = "GOSSIP_KEY_IN_USE"
        // Not at all.
        case notPrimary = "NOT_PRIMARY"
        case notInSync = "NOT_IN_SYNC"
        case notAReplica = "NOT_A_REPLICA"
        case alreadyReplica = "ALREADY_A_REPLICA"
        case alreadyPrimary = "ALREADY_PRIMARY"
        case storeMismatch = "STORE_MISMATCH"
        case wrongOperation = "WRONG_OPERATION"
        case splitKeyOutside = "SPLIT_KEY_OUTSIDE_RANGE"
        case notNeighbours = "NOT_NEIGHBOURS"
        case primariesDiffer = "PRIMARIES_DIFFER"
        case replicasDiffer = "REPLICAS_DIFFER"
        case storagesDiffer = "STORAGES_DIFFER"
        case notEnoughNodes = "NOT_ENOUGH_NODES"
        case notEnoughWitnesses = "NOT_ENOUGH_WITNESSES"
        case generationInUse = "GENERATION_IN_USE"
        case superseded = "SUPERSEDED"
        case nodeDecommissioned = "NODE_DECOMMISSIONED"
        case joinTokenRefused = "JOIN_TOKEN_REFUSED"
        case invalidValue = "INVALID_VALUE"
        case limitReached = "LIMIT_REACHED"
    }

    /// What the caller can do about it.
    package var hint: String { code.hint }

    /// Whether the same request, under a new id, may succeed later with nothing done about it.
    package var isRetryable: Bool { code.isRetryable }
}

extension CatalogRejection.Code {
    package var isRetryable: Bool {
        switch self {
        case .staleEpoch, .stalePlan, .partitionBusy, .nodeBusy, .cleanupPending, .notEnoughInSync, .learnersPresent,
            .nodeUnavailable, .tableNotActive, .nodeHoldsReplicas, .rotationUnderWay, .gossipKeysUnknown:
            true
        case .nodeNotFound, .tableNotFound, .tableExists, .partitionNotFound, .partitionRetired, .operationNotFound,
            .entryNotFound, .unknownEntry, .policyNotFound, .keyExists, .staleSession, .versionMismatch, .operationEnded,
            .pastSwitch,
            .inSyncMemberRemains, .lostDiffer,
            .requestReused, .lastReplica, .notPrimary, .notInSync, .notAReplica, .alreadyReplica, .alreadyPrimary,
            .storeMismatch, .wrongOperation, .splitKeyOutside, .notNeighbours, .primariesDiffer, .replicasDiffer,
            .storagesDiffer, .notEnoughNodes, .notEnoughWitnesses, .generationInUse, .superseded,
            .nodeDecommissioned, .nodeInUse, .joinTokenRefused, .invalidValue, .limitReached, .gossipKeyNotFound,
            .rotationMovedOn, .gossipKeyInUse:
            false
        }
    }

    package var hint: String {
        switch self {
        case .nodeNotFound: "list the nodes; a new one joins with a token"
        case .tableNotFound: "list the tables; names are lower case"
        case .tableExists: "choose another name, or drop the table first"
        case .partitionNotFound: "list the table's partitions"
        case .partitionRetired: "it was split, merged or dropped: list the table's partitions"
        case .operationNotFound: "ended operations are forgotten after a while"
        case .entryNotFound: "list the scope's entries"
        case .unknownEntry: "'coxctl config list' shows every name with what it means"
        case .policyNotFound: "set a policy first"
        case .keyExists: "a key id stands for one key for ever: make a new one"
        case .staleEpoch: "read the partition again and decide anew"
        case .staleSession: "the node has started again since: register, then propose"
        case .stalePlan: "a node of the plan has changed: ask again, and it is planned anew"
        case .versionMismatch: "read the entry again and send its version in If-Match"
        case .operationEnded: "read the operation: it says how it ended"
        case .pastSwitch: "it goes on to its end, once it is resumed if it is paused; move the partition back afterwards"
        case .requestReused: "use a new Idempotency-Key for another request"
        case .partitionBusy: "wait for the operation that is under way on it"
        case .nodeBusy: "wait for an operation on the node to end"
        case .cleanupPending: "the node still removes an earlier copy: try again in a moment"
        case .notEnoughInSync: "wait until the partition's replicas have caught up"
        case .learnersPresent: "wait until the partition's learners have caught up"
        case .inSyncMemberRemains:
            "nothing needs to be given up: it leads as soon as it can; if its copy is damaged, stop its agent for good first"
        case .lostDiffer: "look again at who is in sync: what is given up is named whole, and nothing else"
        case .nodeUnavailable: "choose a healthy node, or start its agent"
        case .tableNotActive: "wait until the table is active"
        case .lastReplica: "it holds the only complete copy: add a replica first"
        case .nodeHoldsReplicas: "drain it and wait until its replicas have moved"
        case .notPrimary: "only the partition's primary may ask this"
        case .notInSync: "choose a member of the in-sync set"
        case .notAReplica: "choose a node that holds a replica"
        case .alreadyReplica: "choose a node without a replica of the partition"
        case .alreadyPrimary: "nothing is to be done"
        case .storeMismatch: "the node has another data folder now: look again"
        case .wrongOperation: "the operation is of another kind, or of another partition"
        case .splitKeyOutside: "choose a key strictly inside the partition's range"
        case .notNeighbours: "name two partitions of one table that meet"
        case .primariesDiffer: "transfer the primary role of the one to the primary of the other first"
        case .replicasDiffer, .storagesDiffer:
            "a merge joins what splits of one partition have left, as long as no copy has been moved; rows are not brought together yet"
        case .notEnoughNodes: "add nodes, or ask for fewer replicas"
        case .notEnoughWitnesses: "two members must find the node dead, in two zones where there are any"
        case .generationInUse: "two agents run from one data folder or its copy: stop one and clear its data folder"
        case .superseded: "the agent registers again by itself, in a later generation"
        case .nodeDecommissioned: "a decommissioned node joins again under another name"
        case .nodeInUse:
            "choose another name; to replace the node, name it in its token: 'coxctl node join-token create --node'"
        case .joinTokenRefused: "make a new one with 'coxctl node join-token create'"
        case .invalidValue: "correct the field that is named"
        case .limitReached: "remove what is no longer needed"
        case .gossipKeysUnknown: "the leader has yet to commit the keys that stand in its file: ask again in a moment"
        case .gossipKeyNotFound: "'coxctl key gossip list' names the keys"
        case .rotationUnderWay: "'coxctl key gossip list' shows who has yet to follow"
        case .rotationMovedOn: "look again: 'coxctl key gossip list'"
        case .gossipKeyInUse: "let the rotation come to its end, then rotate again"
        }
    }
}

extension CatalogRejection {
    init(_ obstacle: MergeObstacle) {
        let code: Code =
            switch obstacle {
            case .notNeighbours: .notNeighbours
            case .learners: .learnersPresent
            case .primariesDiffer: .primariesDiffer
            case .replicasDiffer: .replicasDiffer
            case .storagesDiffer: .storagesDiffer
            }
        self.init(code, obstacle.detail)
    }
}
