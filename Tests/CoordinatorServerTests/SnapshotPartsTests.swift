import Catalog
import CoordinatorServer
import Model
import Testing
import Wire

@Suite struct SnapshotPartsTests {
    /// More entries than one part has.
    private func snapshot(entries: Int) -> CatalogSnapshot {
        let changes = (0..<entries).map { number in
            TopologyChange.configuration(
                ConfigurationEntry(
                    scope: .global, key: "app.\(number)", value: String(repeating: "v", count: number % 700), version: 7))
        }
        return CatalogSnapshot(
            topology: Topology(revision: Revision(history: 1, index: 9), changes: changes), index: 9,
            time: WallTime(milliseconds: 5))
    }

    @Test("what is written in parts reads the same, in parts and whole", arguments: [0, 1, 512, 513, 3_000])
    func roundTrip(entries: Int) throws {
        let snapshot = snapshot(entries: entries)
        let bytes = snapshot.serializedInParts()
        #expect(try CatalogSnapshot(parts: bytes) == snapshot)
        #expect(try CatalogSnapshot(bytes: bytes) == snapshot)
        #expect(try CatalogSnapshot(parts: snapshot.serialized()) == snapshot)
    }

    @Test("equal states have equal bytes")
    func oneForm() {
        #expect(snapshot(entries: 1_500).serializedInParts() == snapshot(entries: 1_500).serializedInParts())
    }

    @Test("whatever is cut or bent is refused or read, and nothing ends the process")
    func hostile() throws {
        let bytes = snapshot(entries: 600).serializedInParts()
        for end in stride(from: 0, to: bytes.count, by: 4_001) { _ = try? CatalogSnapshot(parts: Array(bytes[..<end])) }
        for place in stride(from: 0, to: bytes.count, by: 2_503) {
            var bent = bytes
            bent[place] ^= 1 << UInt8(place % 8)
            _ = try? CatalogSnapshot(parts: bent)
        }
        #expect(throws: WireError.self) {
            try CatalogSnapshot(parts: [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1])
        }
        #expect(throws: WireError.self) { try CatalogSnapshot(parts: [UInt8](repeating: 0xFF, count: 11)) }
        #expect(throws: WireError.self) { try CatalogSnapshot(parts: []) }
    }
}
