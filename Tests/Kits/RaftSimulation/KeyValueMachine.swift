// The replicated state of a simulated group: registers, and for each client session the last request with its first answer, so that
// a request that comes twice takes effect once (thesis §6.3).

package import Consensus
import Model

package struct KeyValueMachine: Sendable {
    struct Session: Sendable {
        let id: UInt64
        var number: UInt64
        var outcome: ClientReply.Outcome
    }

    static let keys = 6

    private(set) var values = Array(repeating: UInt64(0), count: Self.keys)
    /// Sorted by id.
    private(set) var sessions: [Session] = []
    package private(set) var applied = LogIndex.zero
    /// A chain over everything that was applied, so that order and content both count.
    package private(set) var digest: UInt64 = 0

    /// - Returns: what the client is told, and whether the request took effect now; nil for an entry that is nobody's request.
    mutating func apply(_ entry: Entry, remembersSessions: Bool = true) -> (
        request: ClientRequest, outcome: ClientReply.Outcome, isFresh: Bool
    )? {
        applied = entry.id.index
        mix(entry.id.index.number ^ entry.id.term.number << 40)
        guard case .command(let bytes) = entry.content, let request = ClientRequest(bytes: bytes) else { return nil }
        for byte in bytes { digest = digest &* 31 &+ UInt64(byte) }
        let place = sessions.firstIndex { $0.id >= request.session } ?? sessions.count
        let isKnown = place < sessions.count && sessions[place].id == request.session
        if remembersSessions, isKnown, request.number <= sessions[place].number {
            return (request, sessions[place].outcome, false)
        }
        let outcome = perform(request.operation)
        let session = Session(id: request.session, number: request.number, outcome: outcome)
        if isKnown { sessions[place] = session } else { sessions.insert(session, at: place) }
        if sessions.count > 64 { sessions.removeFirst() }
        return (request, outcome, true)
    }

    /// All that it holds in one word: members that have applied the same hold the same (rule C4).
    var fingerprint: UInt64 {
        var hash = digest
        func mix(_ word: UInt64) { hash = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15 ^ hash >> 31 }
        for value in values { mix(value) }
        for session in sessions { for word in [session.id, session.number, session.outcome.code] { mix(word) } }
        return hash
    }

    /// Comes to a state of its own; what a mutant does.
    mutating func goAstray() { values[0] &+= 1 }

    func value(of key: Int) -> UInt64 { values.indices.contains(key) ? values[key] : 0 }

    private mutating func perform(_ operation: ClientRequest.Operation) -> ClientReply.Outcome {
        switch operation {
        case .put(let key, let value):
            values[key % Self.keys] = value
            return .written
        case .swap(let key, let expected, let new):
            guard value(of: key) == expected else { return .swapped(false) }
            values[key % Self.keys] = new
            return .swapped(true)
        case .get(let key): return .value(value(of: key))
        }
    }

    private mutating func mix(_ value: UInt64) {
        var mixer = SeededGenerator(seed: digest ^ value)
        digest = mixer.next()
    }

    // MARK: - Snapshots

    var encoded: [UInt8] {
        var bytes = ByteWriter()
        bytes.put(applied.number)
        bytes.put(digest)
        for value in values { bytes.put(value) }
        bytes.put(UInt64(sessions.count))
        for session in sessions {
            bytes.put(session.id)
            bytes.put(session.number)
            bytes.put(session.outcome.code)
        }
        return bytes.bytes
    }

    init() {}

    init?(encoded: [UInt8]) {
        var bytes = ByteReader(encoded)
        guard let applied = bytes.take(), let digest = bytes.take() else { return nil }
        self.applied = LogIndex(applied)
        self.digest = digest
        for key in values.indices {
            guard let value = bytes.take() else { return nil }
            values[key] = value
        }
        guard let count = bytes.take() else { return nil }
        for _ in 0..<count {
            guard let id = bytes.take(), let number = bytes.take(), let outcome = bytes.take() else { return nil }
            let kinds: [ClientReply.Outcome] = [.written, .swapped(true), .swapped(false), .refused(hint: nil)]
            guard outcome < 4 else { return nil }
            sessions.append(Session(id: id, number: number, outcome: kinds[Int(outcome)]))
        }
    }
}

extension ClientReply.Outcome {
    fileprivate var code: UInt64 {
        switch self {
        case .written: 0
        case .swapped(let succeeded): succeeded ? 1 : 2
        case .value, .refused: 3
        }
    }
}

extension ClientRequest {
    var bytes: [UInt8] {
        var writer = ByteWriter()
        writer.put(session)
        writer.put(number)
        switch operation {
        case .put(let key, let value): for word in [0, UInt64(key), value, 0] { writer.put(word) }
        case .swap(let key, let expected, let new): for word in [1, UInt64(key), expected, new] { writer.put(word) }
        case .get(let key): for word in [2, UInt64(key), 0, 0] { writer.put(word) }
        }
        return writer.bytes
    }

    init?(bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let session = reader.take(), let number = reader.take(), let kind = reader.take(), let key = reader.take(),
            let first = reader.take(), let second = reader.take()
        else { return nil }
        self.session = session
        self.number = number
        switch kind {
        case 0: operation = .put(key: Int(key), value: first)
        case 1: operation = .swap(key: Int(key), expected: first, new: second)
        case 2: operation = .get(key: Int(key))
        default: return nil
        }
    }
}
