import DiskKit
import Foundation
import NIOHTTP1
import Testing

/// The coordinator group on disks of a few megabytes that fill up.
@Suite(
    .serialized, .enabled(if: Programs.areBuilt, "the programs are not built"),
    .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
struct RaftDiskTests {
    private static let bytes = 24 << 20

    @Test("a leader whose disk fills up hands over, and no write fails", arguments: [GroupStory.isLong ? 4 : 1])
    func one(times: Int) async throws {
        var disks: [String: SmallDisk] = [:]
        try await GroupStory.tell { group in
            for name in group.names { disks[name] = try group.giveSmallDisk(name, bytes: Self.bytes) }
        } _: { group, load in
            for round in 0..<times {
                let leader = try await group.leader()
                let disk = try #require(disks[leader])
                // What was reserved for the log before is enough to go on with for a while, and to hand over.
                try disk.fill(leaving: round.isMultiple(of: 2) ? 0 : 1 << 20)
                try await group.waitFor("another leader") { $0["leader"]?.string != leader }
                try await load.nextWrite("with \(leader)'s disk nearly full")
                try await group.waitFor("\(leader) follows") { CoordinatorGroup.isConnected(leader, in: $0) }
                try disk.makeRoom()
                try await load.nextWrite("with room on \(leader)'s disk")
            }
        }
    }

    @Test("with no room anywhere changes are refused with the reason, reads go on, and room on the leader's disk ends it")
    func all() async throws {
        var disks: [String: SmallDisk] = [:]
        try await GroupStory.tell { group in
            for name in group.names { disks[name] = try group.giveSmallDisk(name, bytes: Self.bytes) }
        } _: { group, load in
            for disk in disks.values { try disk.fill(leaving: 1 << 20) }
            let leader = try await group.leader()
            for name in group.names {
                try await expectEventually("a write at \(name) is refused", within: 10) {
                    let answer = try await group.operators.send(
                        .PUT, group.api(name) + "/config/global/entries/app.no-room", body: #"{"value":1}"#, within: 2)
                    return answer.status == 507 && answer.code == "DISK_NEARLY_FULL"
                }
                let read = try await group.operators.send(.GET, group.api(name) + "/config/global", within: 2)
                #expect(read.status == 200, "\(name): \(read.text)")
            }
            // An operator may still say who leads.
            let other = try #require(group.names.first { $0 != leader })
            try disks[other]?.makeRoom()
            try await group.raft("transfer", other)
            try await load.nextWrite("with room on \(other)'s disk")
            for (name, disk) in disks where name != other { try disk.makeRoom() }
        }
    }
}
