import Foundation
import Testing

/// What `coxctl` says without any cluster.
@Suite(.enabled(if: Programs.areBuilt, "the programs are not built")) struct UsageTests {
    @Test(
        "a wrong usage ends with 2 and says what is wrong, whoever finds it",
        arguments: [
            (["nonsense"], "nonsense"), (["cluster", "init", "--name", "X"], "--dir"),
            (["cluster", "init", "--name", "X", "--dir", "D", "--coordinator", "c1,zone=a,host=h"], "--name: 'X'"),
            (["cluster", "init", "--name", "x", "--dir", "D", "--coordinator", "c1,zone=A,host=h"], "zone: 'A'"),
            (["cluster", "init", "--name", "x", "--dir", "D", "--coordinator", "c1,zone=a"], "host="),
            (["node", "list"], "COXSWAIN_CONTEXT"), (["node", "list", "--context", "/none.json"], "/none.json: No such file"),
            (["node", "list", "--timeout", "0"], "--timeout"), (["token", "revoke"], "--id"),
            (["token", "revoke", "--id", "-x"], "COXSWAIN_CONTEXT"),
            (["user", "issue", "ada"], "--role"),
        ])
    func usage(arguments: [String], mention: String) async throws {
        let outcome = try await Programs.run("coxctl", arguments)
        #expect(outcome.status == 2 && outcome.output.isEmpty && outcome.error.contains(mention), "\(outcome)")
        #expect(!outcome.error.contains("NSError") && !outcome.error.contains("Error Domain"))
    }

    @Test("each program tells its version", arguments: ["coxctl", "coxswain-agent", "coxswain-coordinator"])
    func version(program: String) async throws {
        let outcome = try await Programs.run(program, ["--version"])
        #expect(outcome.status == 0 && outcome.output.hasPrefix("\(program) ") && outcome.error.isEmpty, "\(outcome)")
    }
}
