import Model
import Testing

@testable import AgentCore

@Suite struct PartitionChangesTests {
    @Test("what has changed since a revision is what a plain record of last changes says, each once")
    func since() {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<20 {
            var changes = PartitionChanges()
            var plain: [PartitionID: Revision] = [:]
            for index in UInt64(1)...80 {
                let revision = Revision(history: 1, index: index)
                let ids = (0..<Int.random(in: 0...4, using: &generator)).map { _ in
                    PartitionID(UInt64.random(in: 0..<20, using: &generator))
                }
                changes.note(ids, at: revision)
                for id in ids { plain[id] = revision }
                let asked = Revision(history: 1, index: UInt64.random(in: 0...index, using: &generator))
                #expect(changes.since(asked).sorted() == plain.filter { $0.value > asked }.keys.sorted())
                #expect(changes.count == plain.count)
                for id in plain.keys { #expect(changes[id] == plain[id]) }
            }
        }
    }
}
