import Glibc
import Model
import Synchronization

/// What was done to the cluster and when, told as it happens; and what is broken at this moment, for troubles overlap: two may have
/// killed the same member, or cut the same direction, and only the last one mends it.
final class Diary: Sendable {
    private struct State {
        var lines: [String] = []
        var findings: [String] = []
        var down: [String: Int] = [:]
        var cuts: [ChaosCluster.Cut: Int] = [:]
        var full: Set<String> = []
        /// Disks that have been full: what a process without space ends with is no surprise.
        var wasFull: Set<String> = []
        var operations: [String: Int] = [:]
        var made: [Trouble: Int] = [:]
    }

    private let state = Mutex(State())
    private let start = ContinuousClock.now

    func note(_ what: String) {
        let seconds = ((ContinuousClock.now - start).seconds * 10).rounded() / 10
        let line = "\(String(repeating: " ", count: max(0, 7 - "\(seconds)".count)))\(seconds) s  \(what)"
        state.withLock { $0.lines.append(line) }
        print(line)
        // Whoever reads it through a pipe wants it now.
        fflush(nil)
    }

    /// Something that may not be.
    func finding(_ what: String) {
        note("FAILED \(what)")
        state.withLock { $0.findings.append(what) }
    }

    /// How operations of the operator ended.
    func operation(_ outcome: String) { state.withLock { $0.operations[outcome, default: 0] += 1 } }

    /// Something was broken, or an operation begun.
    func made(_ kind: Trouble) { state.withLock { $0.made[kind, default: 0] += 1 } }
    func count(of kind: Trouble) -> Int { state.withLock { $0.made[kind] ?? 0 } }

    var text: String { state.withLock { $0.lines }.map { $0 + "\n" }.joined() }
    var findings: [String] { state.withLock { $0.findings } }
    func operations(_ outcome: String) -> Int { state.withLock { $0.operations[outcome] ?? 0 } }
    var operations: String {
        state.withLock { $0.operations }.sorted { $0.key < $1.key }.map { "\($1) \($0)" }.joined(separator: ", ")
    }

    // MARK: - What is broken

    func down(_ names: [String]) { state.withLock { state in for name in names { state.down[name, default: 0] += 1 } } }

    /// - Returns: those that nobody else wants down.
    func up(_ names: [String]) -> [String] {
        state.withLock { state in
            names.filter { name in
                state.down[name, default: 1] -= 1
                if state.down[name] == 0 { state.down[name] = nil }
                return state.down[name] == nil
            }
        }
    }

    func isDown(_ name: String) -> Bool { state.withLock { $0.down[name] != nil } }

    /// - Returns: those that were whole.
    func cut(_ cuts: [ChaosCluster.Cut]) -> [ChaosCluster.Cut] {
        state.withLock { state in
            cuts.filter { cut in
                state.cuts[cut, default: 0] += 1
                return state.cuts[cut] == 1
            }
        }
    }

    /// - Returns: those that nobody else wants cut.
    func heal(_ cuts: [ChaosCluster.Cut]) -> [ChaosCluster.Cut] {
        state.withLock { state in
            cuts.filter { cut in
                state.cuts[cut, default: 1] -= 1
                if state.cuts[cut] == 0 { state.cuts[cut] = nil }
                return state.cuts[cut] == nil
            }
        }
    }

    func full(_ name: String, _ isFull: Bool) {
        state.withLock { state in
            if isFull {
                state.full.insert(name)
                state.wasFull.insert(name)
            } else {
                state.full.remove(name)
            }
        }
    }

    func wasFull(_ name: String) -> Bool { state.withLock { $0.wasFull.contains(name) } }
}
