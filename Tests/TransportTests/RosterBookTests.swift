import Foundation
import Membership
import Model
import Synchronization
import Testing
import Transport

@Suite(.timeLimit(.minutes(5))) struct RosterBookTests {
    private func entry(_ name: String) throws -> RosterEntry {
        RosterEntry(
            node: try NodeID(name), generation: Generation(1),
            profile: MemberProfile(
                kind: .agent, zone: try ZoneName("a"), gossip: "127.0.0.1:1", link: "127.0.0.1:2", store: StoreID(1),
                session: .none))
    }

    @Test("a roster is the group and the agents that were named last; another group is in it when it is named the next time")
    func sources() throws {
        let (c1, c2, n1) = (try entry("c1"), try entry("c2"), try entry("n1"))
        let book = RosterBook(coordinators: [c1])
        #expect(book.name { $0 } == [c1])
        #expect(book.name([n1]) { $0 } == [c1, n1])
        book.setCoordinators([c2])
        #expect(book.name { $0 } == [c2, n1])
        #expect(book.name([]) { $0 } == [c2])
    }

    @Test("a roster that was put together earlier is not taken after a later one, however long it takes to be taken")
    func inOrder() throws {
        let book = RosterBook(coordinators: [])
        let (earlier, later) = (try entry("n1"), try entry("n2"))
        let taken = Mutex<[[RosterEntry]]>([])
        let (isTaking, isOvertaken) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let ended = DispatchGroup()
        /// On a thread of its own: a queue has so few that the second piece of work would wait for the first.
        func start(_ work: @escaping @Sendable () -> Void) {
            ended.enter()
            Thread.detachNewThread {
                work()
                ended.leave()
            }
        }
        start {
            book.name([earlier]) { roster in
                isTaking.signal()
                // Long enough for the other thread to come by, if it can.
                _ = isOvertaken.wait(timeout: .now() + .milliseconds(500))
                taken.withLock { $0.append(roster) }
            }
        }
        isTaking.wait()
        start {
            book.name([later]) { roster in taken.withLock { $0.append(roster) } }
            isOvertaken.signal()
        }
        ended.wait()
        #expect(taken.withLock { $0 } == [[earlier], [later]])
    }
}
