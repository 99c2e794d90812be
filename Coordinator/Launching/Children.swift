// The processes that a launcher starts. Whatever ends the launcher ends them too: its end, an error, Ctrl-C, and `kill -9`.
//
// The last is the work of a guard: a shell that leads the children's process group and waits for the end of a stream whose other
// end only the launcher holds. (A parent's death signal would be tied to the thread that started the child, and threads of a pool
// come and go.)

package import Dispatch
package import Glibc
import Synchronization

/// Starts programs, kills them, and leaves none behind.
package final class Children: Sendable {
    package struct SpawnFailed: Error, CustomStringConvertible {
        package let description: String
    }

    private struct Guard {
        let process: pid_t
        /// Held open for as long as the children are wanted.
        let stream: Int32
    }

    private struct State {
        /// By name: the process that runs under it now.
        var running: [String: pid_t] = [:]
        /// By name: how the last one ended that ended by itself, as waitpid(2) tells it.
        var ends: [String: Int32] = [:]
        var guardian: Guard?
        var closed = false
    }

    private let state = Mutex(State())
    private let folder: String?

    /// - Parameter folder: removed with the children when nobody else can do it any more.
    package init(removing folder: String? = nil) { self.folder = folder }

    /// Ends every child, does `last`, then ends this program itself, on SIGINT (which is how it is meant to end) and SIGTERM.
    package func endOnSignals(_ last: @escaping @Sendable () -> Void) -> [any DispatchSourceSignal] {
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
    /// It is in the guard's process group: Ctrl-C on the terminal reaches the launcher alone, which then ends its children in order.
    @discardableResult
    package func start(_ name: String, _ program: String, _ arguments: [String], log: String) throws -> pid_t {
        // Started and noted under the lock: a signal in between would miss the new process.
        try state.withLock { state in
            guard !state.closed else { throw SpawnFailed(description: "\(name): the launcher is ending") }
            let guardian = try state.guardian ?? startGuard()
            state.guardian = guardian
            let process = try Self.spawn(program, arguments, group: guardian.process, log: log)
            state.running[name] = process
            state.ends[name] = nil
            return process
        }
    }

    /// A shell that outlives us by a moment: at the end of its input it ends its group, and removes what we would have removed.
    private func startGuard() throws(SpawnFailed) -> Guard {
        var ends: [Int32] = [0, 0]
        // A socket pair, because it can be made so that no other child ever inherits it.
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw SpawnFailed(description: "socketpair: \(String(cString: strerror(errno)))")
        }
        defer { close(ends[0]) }
        let script = """
            trap '' TERM; read -r none; kill -TERM 0; sleep 0.5; [ -z "$1" ] || rm -rf -- "$1"; kill -KILL 0
            """
        do throws(SpawnFailed) {
            let process = try Self.spawn("/bin/sh", ["-c", script, "guard", folder ?? ""], group: 0, input: ends[0])
            return Guard(process: process, stream: ends[1])
        } catch {
            close(ends[1])
            throw error
        }
    }

    /// - Parameter group: the process group to be in; 0 for a new one.
    private static func spawn(
        _ program: String, _ arguments: [String], group: pid_t, input: Int32? = nil, log: String = "/dev/null"
    ) throws(SpawnFailed) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        } else {
            posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        try keepNothingElse(&actions)
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
        posix_spawnattr_setpgroup(&attributes, group)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var process = pid_t()
        let result = posix_spawn(&process, program, &actions, &attributes, &words, environ)
        guard result == 0 else {
            throw SpawnFailed(description: "cannot start \(program): \(String(cString: strerror(result)))")
        }
        return process
    }

    /// Closes, in the child, all but its three standard streams. A pipe to another program that it inherited would keep that program
    /// waiting for an end of its input that comes only with ours: Foundation's pipes are passed on to whoever is started just then.
    private static func keepNothingElse(_ actions: inout posix_spawn_file_actions_t) throws(SpawnFailed) {
        // Declared for C with GNU extensions only, which Swift's module of the C library leaves out.
        typealias AddCloseFrom = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32
        guard let symbol = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np"),
            unsafeBitCast(symbol, to: AddCloseFrom.self)(&actions, STDERR_FILENO + 1) == 0
        else { throw SpawnFailed(description: "this C library cannot keep open files from a child") }
    }

    package func process(of name: String) -> pid_t? { state.withLock { $0.running[name] } }

    /// Whether the process under `name` runs still; one that has ended is reaped.
    package func isRunning(_ name: String) -> Bool {
        state.withLock { state in
            guard let process = state.running[name] else { return false }
            var status: Int32 = 0
            guard waitpid(process, &status, WNOHANG) == 0 else {
                state.running[name] = nil
                state.ends[name] = status
                return false
            }
            return true
        }
    }

    /// How the process that was started last under `name` ended, if nobody ended it: a status as waitpid(2) tells it.
    package func endStatus(of name: String) -> Int32? {
        isRunning(name) ? nil : state.withLock { $0.ends[name] }
    }

    /// `kill -9`, and waits for the end.
    package func kill(_ name: String) { end(state.withLock { $0.running.removeValue(forKey: name) }) }

    /// Asks all to end, kills those that do not within a second, and starts no more.
    package func killAll() {
        let (left, guardian) = state.withLock { state in
            state.closed = true
            defer {
                state.running = [:]
                state.guardian = nil
            }
            return (Array(state.running.values), state.guardian)
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
        if let guardian {
            // It has nothing left to do, and must not do it later.
            end(guardian.process)
            close(guardian.stream)
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
package enum Ports {
    /// Those of `ports` that somebody uses, for streams or datagrams.
    package static func inUse(_ ports: [Int]) -> [Int] {
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
