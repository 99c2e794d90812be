// Pings over links. A member whose datagrams are lost, or whose port is closed to them, still shows there that its process runs: it
// takes part in a handshake, which no kernel does for a process that stands still. And the machine of a process that is gone refuses.

import Model
import Synchronization
import Wire

package final class StreamProber: Sendable {
    /// Totals since the start, for metrics.
    package struct Counters: Hashable, Sendable {
        package var answered: UInt64 = 0
        package var refused: UInt64 = 0
        /// No answer in time, or none that holds.
        package var silent: UInt64 = 0
        /// Not asked: as many as may be were being asked.
        package var overflowed: UInt64 = 0

        package init() {}
    }

    struct Question: Sendable {
        let node: NodeID
        let address: String
        let sequence: UInt64
    }

    enum Answer: Sendable {
        case here
        case refused
    }

    private let dialer: LinkDialer
    private let state = Mutex<(counters: Counters, open: Int)>((Counters(), 0))
    private let questions: (stream: AsyncStream<Question>, continuation: AsyncStream<Question>.Continuation)
    private let deadline: Span

    /// - Parameter deadline: for the connection and the handshake on it, together.
    init(endpoint: LinkEndpoint, deadline: Span) {
        dialer = LinkDialer(endpoint: endpoint)
        self.deadline = deadline
        questions = AsyncStream.makeStream(of: Question.self, bufferingPolicy: .bufferingOldest(GossipLimits.links))
    }

    package var counters: Counters { state.withLock { $0.counters } }

    /// Asks without waiting.
    func ask(_ question: Question) {
        let isTaken = state.withLock { state in
            guard state.open < GossipLimits.links else {
                state.counters.overflowed += 1
                return false
            }
            state.open += 1
            return true
        }
        if isTaken { questions.continuation.yield(question) }
    }

    /// Carries out what is asked, until cancelled.
    /// - Parameter answer: told what came of it; of silence nothing.
    func run(_ answer: @escaping @Sendable (Question, Answer) -> Void) async {
        await withDiscardingTaskGroup { group in
            for await question in questions.stream {
                group.addTask {
                    let found = await self.find(question)
                    self.settle(found)
                    if let found { answer(question, found) }
                }
            }
            group.cancelAll()
        }
    }

    private func find(_ question: Question) async -> Answer? {
        do throws(LinkError) {
            let link = try await dialer.connect(
                to: question.address, expecting: question.node, conversation: .probe, timeout: deadline)
            link.abort()
            return .here
        } catch {
            if case .refused = error { return .refused }
            return nil
        }
    }

    private func settle(_ answer: Answer?) {
        state.withLock { state in
            state.open -= 1
            switch answer {
            case .here: state.counters.answered += 1
            case .refused: state.counters.refused += 1
            case nil: state.counters.silent += 1
            }
        }
    }
}
