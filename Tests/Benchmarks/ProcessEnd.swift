import Glibc
import Launching

/// How a process ends.
enum ProcessEnd: String, CaseIterable {
    /// Its connections close: whoever listens knows at once.
    case killed = "kill -9"
    /// Its connections stay and say nothing, as those of a machine without power. Only time-outs tell.
    case frozen = "kill -STOP"

    func bring(to name: String, of children: Children) {
        switch self {
        case .killed: children.kill(name)
        case .frozen: if let process = children.process(of: name) { Glibc.kill(process, SIGSTOP) }
        }
    }
}
