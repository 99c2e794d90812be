import Membership
import MembershipSimulation
import Model
import Testing
import Transport
import Wire

/// What one version can read of what a later one writes.
@Suite struct GossipCodecTests {
    private let told: ProtoSwimMessage

    init() {
        let life = Life(generation: Generation(3), incarnation: 9)
        let rumours = (2..<5).map {
            MemberRecord(node: World.node($0), life: life, status: .alive, profile: World.profile($0))
        }
        told = SwimMessage(from: World.node(1), life: life, revision: .none, body: .gossip, rumours: rumours).wire
    }

    private func read(changing change: (inout ProtoSwimMessage) -> Void) throws(WireError) -> SwimMessage {
        var changed = told
        change(&changed)
        return try SwimMessage(wire: changed)
    }

    @Test("a rumour of a kind or a status that only a later version knows is left out and counted; the others are read")
    func laterVersion() throws {
        let message = try read {
            $0.rumours[0].kind = .UNRECOGNIZED(9)
            $0.rumours[1].status = .UNRECOGNIZED(9)
        }
        #expect(message.rumours.map(\.node) == [World.node(4)])
        #expect(message.unknownRumours == 2)
    }

    @Test("a rumour that names no kind or no status is malformed, and its message with it")
    func unspecified() {
        #expect(throws: WireError.self) { try read { $0.rumours[0].kind = .unspecified } }
        #expect(throws: WireError.self) { try read { $0.rumours[1].status = .unspecified } }
    }

    @Test("a rumour that this version knows and that is malformed makes its message so, beside one that it does not know")
    func malformed() {
        #expect(throws: WireError.self) {
            try read {
                $0.rumours[0].kind = .UNRECOGNIZED(9)
                $0.rumours[2].node = ""
            }
        }
    }

    @Test("a message of more rumours than a datagram can hold is refused, whether they are known or not")
    func tooMany() {
        #expect(throws: WireError.self) {
            try read { $0.rumours = Array(repeating: $0.rumours[0], count: SwimMessage.mostRumours + 1) }
        }
        #expect(throws: WireError.self) {
            try read {
                $0.rumours[0].kind = .UNRECOGNIZED(9)
                $0.rumours = Array(repeating: $0.rumours[0], count: SwimMessage.mostRumours + 1)
            }
        }
    }
}
