import Model
import Testing
import Wire

@Suite struct SnapshotTests {
    @Test("a topology cut into chunks of any size is put together as it was")
    func roundTrip() throws {
        var arbitrary = Arbitrary(seed: 5)
        let topology = try arbitrary.topology(changes: 200)
        for size in [1, 300, 1 << 20] {
            var assembler = SnapshotAssembler()
            var result: Topology?
            for chunk in SnapshotChunk.chunks(of: topology, chunkBytes: size) {
                #expect(result == nil)
                result = try assembler.add(chunk)
            }
            #expect(result?.changes == topology.changes)
        }
    }

    @Test("an empty topology is one chunk")
    func empty() throws {
        let topology = Topology(revision: Revision(history: 1, index: 7))
        let chunks = SnapshotChunk.chunks(of: topology)
        #expect(chunks.count == 1)
        var assembler = SnapshotAssembler()
        #expect(try assembler.add(chunks[0]) == topology)
    }

    @Test("a chunk out of order or of another revision is refused, and a first chunk starts anew")
    func order() throws {
        var arbitrary = Arbitrary(seed: 6)
        let chunks = SnapshotChunk.chunks(of: try arbitrary.topology(changes: 100), chunkBytes: 1)
        try #require(chunks.count > 3)
        var assembler = SnapshotAssembler()
        #expect(throws: WireError.self) { try assembler.add(chunks[1]) }
        #expect(try assembler.add(chunks[0]) == nil)
        #expect(throws: WireError.self) { try assembler.add(chunks[2]) }
        #expect(try assembler.add(chunks[0]) == nil)
        #expect(try assembler.add(chunks[1]) == nil)
        let other = SnapshotChunk(revision: Revision(history: 9, index: 9), index: 2, isLast: true, changes: [])
        #expect(throws: WireError.self) { try assembler.add(other) }
    }
}
