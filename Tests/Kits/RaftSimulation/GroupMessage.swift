// What travels in a simulated group: messages of members, each with both names on it, and requests of clients.

package import Consensus
import Model

package enum GroupMessage: Sendable {
    /// Dropped by whoever is not `to`: another store of the same node, for example.
    case peer(Message, from: MemberID, to: MemberID)
    case request(ClientRequest)
    case reply(ClientReply)
    /// A store that is no member asks to be taken in.
    case knock(MemberID)
    case errand(Errand)
}

package struct ClientRequest: Hashable, Sendable {
    package enum Operation: Hashable, Sendable {
        case put(key: Int, value: UInt64)
        case swap(key: Int, expected: UInt64, new: UInt64)
        case get(key: Int)
    }
    /// The client's session; with `number` it names the request, however often it is sent.
    package let session: UInt64
    package let number: UInt64
    package let operation: Operation
}

package struct ClientReply: Hashable, Sendable {
    package enum Outcome: Hashable, Sendable {
        case written
        case swapped(Bool)
        case value(UInt64)
        /// Nothing was done; a host that may know better.
        case refused(hint: Int?)
    }
    package let session: UInt64
    package let number: UInt64
    package let outcome: Outcome
}

/// What an operator asks for; whoever leads does it.
package enum Errand: Hashable, Sendable {
    case transfer(seed: UInt64)
    case shrink(seed: UInt64)
    case grow(seed: UInt64)
    case exchange(seed: UInt64)
    case demote(seed: UInt64)
}

extension Errand {
    package static let kinds = 5

    init(kind: Int, seed: UInt64) {
        self =
            switch kind {
            case 0: .transfer(seed: seed)
            case 1: .shrink(seed: seed)
            case 2: .grow(seed: seed)
            case 3: .exchange(seed: seed)
            default: .demote(seed: seed)
            }
    }
}

extension GroupMessage {
    /// What tells messages apart; the same in every process.
    var digest: UInt64 {
        switch self {
        case .peer(let message, _, _): return message.digest
        case .request(let request): return request.session << 20 ^ request.number
        case .reply(let reply): return reply.session << 20 ^ reply.number ^ 1 << 60
        case .knock(let member): return member.store?.number ?? 0
        case .errand: return 7
        }
    }
}

extension Message {
    fileprivate var digest: UInt64 {
        switch self {
        case .append(let append):
            term.number << 32 ^ append.previous.index.number << 8 ^ UInt64(append.entries.count) ^ append.commit.number << 48
        case .appendAnswer(let answer):
            switch answer.outcome {
            case .matched(let index): term.number << 32 ^ index.number ^ 2 << 60
            case .rejected(let at, let hint): term.number << 32 ^ at.number << 8 ^ hint.index.number ^ 3 << 60
            case .staleTerm: term.number << 32 ^ 4 << 60
            }
        case .heartbeat(let beat): term.number << 32 ^ beat.round ^ 5 << 60
        default: term.number << 32 ^ 6 << 60
        }
    }
}
