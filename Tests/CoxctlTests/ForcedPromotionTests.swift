import ArgumentParser
import Client
import Testing

@testable import coxctl

@Suite struct ForcedPromotionTests {
    @Test("before anything is given up, the operator sees whose, and how far they were known to be")
    func question() {
        let plan = JSONValue.object([
            "given_up": .array([
                .object(["node": .string("n1"), "status": .string("FAILED"), "last_position": .string("e3.1.44")]),
                .object(["node": .string("n2"), "status": .string("DECOMMISSIONED"), "last_position": .null]),
            ])
        ])
        #expect(
            PartitionForcePromote.question(plan, "users", "7", "n3") == """
                Partition 7 of users goes on from the copy on n3. Given up for ever is what only these held:
                  n1 (FAILED): last heard at e3.1.44
                  n2 (DECOMMISSIONED): where it stood is not known
                """)
    }

    @Test("without a reason, or without a word for the loss, nothing is asked")
    func usage() {
        let complete = ["users", "7", "--to", "n3", "--lost", "n1,n2", "--accept-data-loss", "--reason", "both disks burned"]
        #expect(throws: Never.self) { try PartitionForcePromote.parse(complete) }
        for missing in [["--accept-data-loss"], ["--reason", "both disks burned"], ["--to", "n3"], ["--lost", "n1,n2"]] {
            let given = complete.filter { !missing.contains($0) }
            #expect(throws: (any Error).self, "\(missing)") { try PartitionForcePromote.parse(given) }
        }
    }
}
