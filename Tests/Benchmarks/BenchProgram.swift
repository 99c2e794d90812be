import Glibc

/// A program of the machine that is run to its end. What it says is kept for its failure.
enum BenchProgram {
    /// - Parameter output: where its standard output goes; nowhere when there is none.
    /// - Returns: seconds.
    /// - Throws: `BenchFailure` when there is no such program, or when it ended with another status than 0: with what it said.
    @discardableResult
    static func run(_ program: String, _ arguments: [String], output: Int32? = nil) throws -> Double {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor in [STDIN_FILENO, STDOUT_FILENO] {
            posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
        }
        if let output { posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) }
        // The threads of a pool block most signals, and a program inherits that: one that measures for a time would never hear its alarm.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        guard let complaints = tmpfile() else { throw BenchFailure("no temporary file: \(String(cString: strerror(errno)))") }
        defer { fclose(complaints) }
        posix_spawn_file_actions_adddup2(&actions, fileno(complaints), STDERR_FILENO)
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        let start = ContinuousClock.now
        var process = pid_t()
        var status: Int32 = 0
        guard posix_spawn(&process, program, &actions, &attributes, &words, environ) == 0 else {
            throw BenchFailure("\(program) is not installed")
        }
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else {
            var bytes = [UInt8](repeating: 0, count: 400)
            let count = max(0, pread(fileno(complaints), &bytes, bytes.count, 0))
            throw BenchFailure(
                "\(program) ended with status \(status >> 8): \(String(decoding: bytes[..<count], as: UTF8.self))")
        }
        return (ContinuousClock.now - start).inSeconds
    }

    /// What it writes to its standard output, of which more than 64 KiB is left out.
    /// - Throws: as `run` does.
    static func output(of program: String, _ arguments: [String]) throws -> String {
        guard let file = tmpfile() else { throw BenchFailure("no temporary file: \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        try run(program, arguments, output: fileno(file))
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = max(0, pread(fileno(file), &bytes, bytes.count, 0))
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
