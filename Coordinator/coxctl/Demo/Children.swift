// The processes that the demo starts. Whatever ends the demo ends them too: its end, an error, Ctrl-C.

import Dispatch
import Glibc
import Synchronization

/// Starts programs, kills them, and leaves none behind.
final class Children: Sendable {
    struct SpawnFailed: Error, CustomStringConvertible {
        let description: String
    }

    private struct State {
        /// By name: the process that runs under it now.
        var running: [String: pid_t] = [:]
        var closed = false
    }

    private let state = Mutex(State())

    /// Ends every child, does `last`, then ends the demo itself, on SIGINT (which is how it is meant to end) and SIGTERM.
    func endOnSignals(_ last: @escaping @Sendable () -> Void) -> [any DispatchSourceSignal] {
        [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [self] in
                killAll()
                last()
                exit(number == SIGINT ? 0 : 128 + number)
            }
            source.resume()
            return source
        }
    }

    /// Starts `program` under `name`, with its output appended to `log`.
    ///
    /// It gets a process group of its own: Ctrl-C on the terminal reaches the demo alone, which then ends its children in order.
    @discardableResult
    func start(_ name: String, _ program: String, _ arguments: [String], log: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var usual = sigset_t()
        sigemptyset(&usual)
        for number in [SIGINT, SIGTERM, SIGPIPE] { sigaddset(&usual, number) }
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &usual)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        // Started and noted under the lock: a signal in between would miss the new process.
        return try state.withLock { state in
            guard !state.closed else { throw SpawnFailed(description: "the demo is ending") }
            var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
            defer { for word in words { free(word) } }
            var process = pid_t()
            let result = posix_spawn(&process, program, &actions, &attributes, &words, environ)
            guard result == 0 else {
                throw SpawnFailed(description: "cannot start \(program): \(String(cString: strerror(result)))")
            }
            state.running[name] = process
            return process
        }
    }

    func process(of name: String) -> pid_t? { state.withLock { $0.running[name] } }

    /// Whether the process under `name` runs still; one that has ended is reaped.
    func isRunning(_ name: String) -> Bool {
        state.withLock { state in
            guard let process = state.running[name] else { return false }
            var status: Int32 = 0
            guard waitpid(process, &status, WNOHANG) == 0 else {
                state.running[name] = nil
                return false
            }
            return true
        }
    }

    /// `kill -9`, and waits for the end.
    func kill(_ name: String) { end(state.withLock { $0.running.removeValue(forKey: name) }) }

    /// Asks all to end, kills those that do not within a second, and starts no more.
    func killAll() {
        let left = state.withLock { state in
            state.closed = true
            defer { state.running = [:] }
            return Array(state.running.values)
        }
        for process in left { Glibc.kill(process, SIGTERM) }
        for process in left {
            var status: Int32 = 0
            var waited = 0
            while waitpid(process, &status, WNOHANG) == 0 {
                if waited == 50 { Glibc.kill(process, SIGKILL) }
                usleep(20_000)
                waited += 1
            }
        }
    }

    private func end(_ process: pid_t?) {
        guard let process else { return }
        Glibc.kill(process, SIGKILL)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
    }
}

/// Ports, looked at before anything is started.
enum Ports {
    /// Those of `ports` that somebody uses, for streams or datagrams.
    static func inUse(_ ports: [Int]) -> [Int] {
        ports.filter { port in !canBind(port, SOCK_STREAM) || !canBind(port, SOCK_DGRAM) }
    }

    private static func canBind(_ port: Int, _ type: __socket_type) -> Bool {
        let descriptor = socket(AF_INET, Int32(type.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        // As servers do: what lingers after a closed connection does not count as use.
        var yes: Int32 = 1
        if type == SOCK_STREAM { setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size)) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
