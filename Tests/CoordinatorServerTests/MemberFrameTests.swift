@testable import CoordinatorServer
import Consensus
import CoordinatorCore
import Model
import Testing
import Wire

@Suite("messages between coordinators")
struct MemberFrameTests {
    private static let c1 = MemberID(Known.c1)
    private static let c2: MemberID = {
        do { return try MemberID(text: "c2/4f2a") } catch { preconditionFailure("\(error)") }
    }()

    private static func frames() throws -> [MemberFrame] {
        let configuration = try MemberConfiguration(voters: [c1, c2], outgoing: [c1], learners: [try MemberID(text: "c3/1")])
        let last = EntryID(term: Term(3), index: LogIndex(7))
        let messages: [Message] = [
            .timeoutNow(TimeoutNow(term: Term(4))), .voteRequest(VoteRequest(term: Term(4), last: last, isTransfer: true)),
            .append(
                Append(
                    term: Term(4), previous: last,
                    entries: [Entry(id: EntryID(term: Term(4), index: LogIndex(8)), content: .configuration(configuration))],
                    commit: LogIndex(7))),
            .snapshotChunk(
                SnapshotChunk(
                    term: Term(4), snapshot: last, configuration: configuration, configurationIndex: LogIndex(5),
                    totalBytes: 3, checksum: 0xDEAD_BEEF, offset: 1, bytes: [1, 2])),
        ]
        return messages.map { MemberFrame(from: c2, to: c1, message: .raft($0)) }
            + [MemberFrame(from: c2, to: nil, message: .waiting(c2)), MemberFrame(from: c1, to: c2, message: .waiting(c2))]
            + [MemberFrame(from: c1, to: c2, message: .mark(StateMark(index: LogIndex(128), form: 7, hash: .max)))]
            + [
                MemberFrame(
                    from: c2, to: c1,
                    message: .gossipKeysHeld(HeldGossipKeys(ids: [GossipKeyID(1), GossipKeyID(.max)], primary: GossipKeyID(1))))
            ]
            + [
                FailoverClocks(), FailoverClocks(detect: .zero, decide: .milliseconds(28)),
                FailoverClocks(detect: .milliseconds(271), decide: .milliseconds(28), recover: .milliseconds(479)),
            ].map { MemberFrame(from: c2, to: c1, message: .failoverClocks($0, of: LogIndex(48_211))) }
    }

    @Test("every message comes back as it was written, with its sender and its receiver")
    func roundTrip() throws {
        for frame in try Self.frames() { #expect(try MemberFrame(bytes: frame.serialized()) == frame) }
    }

    @Test("a frame that is cut or has one bit changed is read as something, or refused, and never ends the process")
    func hostileBytes() throws {
        for frame in try Self.frames() {
            let bytes = frame.serialized()
            for length in bytes.indices { _ = try? MemberFrame(bytes: Array(bytes.prefix(length))) }
            for bit in 0..<(bytes.count * 8) {
                var changed = bytes
                changed[bit / 8] ^= 1 << UInt8(bit % 8)
                _ = try? MemberFrame(bytes: changed)
            }
        }
    }

    @Test("a frame without a sender, or with a member that is none, is refused")
    func nobody() throws {
        for name in ["", "c2/", "c2/zz", "C2", "c2/1/2", String(repeating: "c", count: 200)] {
            var wire = ProtoCoordinatorMessage()
            wire.from = name
            wire.to = "c1"
            wire.waiting = "c2/1"
            #expect(throws: WireError.self) { try MemberFrame(wire: wire) }
        }
    }

    @Test(
        "a frame for another store of the node, from another store than the link's, or for nobody is dropped, with the reason",
        arguments: [
            ("c2/4f2a", "c1", 0x4f2a, MessageDrop?.none), ("c2", "c1", 0x4f2a, nil), ("c2/4f2b", "c1", 0x4f2a, .sender),
            ("c3/4f2a", "c1", 0x4f2a, .sender), ("c2/4f2a", "c1/9", 0x4f2a, .receiver), ("c2/4f2a", "", 0x4f2a, .receiver),
        ])
    func misdirected(from: String, to: String, store: UInt64, drop: MessageDrop?) throws {
        let frame = MemberFrame(
            from: try MemberID(text: from), to: to.isEmpty ? nil : try MemberID(text: to),
            message: .raft(.timeoutNow(TimeoutNow(term: Term(1)))))
        #expect(frame.fault(at: Self.c1, from: Self.c2.node, store: StoreID(store)) == drop)
    }

    @Test("only a store that waits to be let in may leave out whom it means")
    func waiting() throws {
        let frame = MemberFrame(from: Self.c2, to: nil, message: .waiting(Self.c2))
        #expect(frame.fault(at: Self.c1, from: Self.c2.node, store: StoreID(0x4f2a)) == nil)
    }
}
