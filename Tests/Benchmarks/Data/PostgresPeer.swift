import FoundationEssentials
import Glibc
import Launching

/// PostgreSQL as Debian packages it, on the same disk, with the same rows: a transaction is durable when it is answered, on a standby too
/// where there is one. Its clients are pgbench's, which speak its own protocol without TLS.
struct PostgresPeer: Sendable {
    private static let programs = "/usr/lib/postgresql/15/bin"
    private static let user = "postgres"
    static var isInstalled: Bool { access("\(programs)/postgres", X_OK) == 0 && access("/usr/bin/pgbench", X_OK) == 0 }

    private let folder: String
    private let port: Int

    /// Makes a server, with a synchronous standby or without, and `keys` rows in it.
    ///
    /// - Parameter folder: of the cluster that it stands beside; its folders are made in it.
    static func start(
        in folder: String, port: Int, hasStandby: Bool, keys: Int, beside cluster: BenchCluster
    ) async throws -> PostgresPeer {
        let home = "\(folder)/postgres-\(port)"
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        try own(home)
        let peer = PostgresPeer(folder: home, port: port)
        let data = "\(home)/primary"
        try asUser("\(programs)/initdb", ["-D", data, "-U", user, "-A", "trust", "--no-instructions"])
        try peer.startServer(data, port: port, named: "p\(port)", cluster)
        try await peer.waitUntilReady(port, cluster)
        if hasStandby {
            let standby = "\(home)/standby"
            try asUser(
                "\(programs)/pg_basebackup",
                ["-h", "127.0.0.1", "-p", "\(port)", "-U", user, "-D", standby, "-R", "-X", "stream", "-c", "fast"])
            try peer.startServer(standby, port: port + 1, named: "p\(port + 1)", cluster)
            try await peer.waitUntilReady(port + 1, cluster)
            try peer.sql(["alter system set synchronous_standby_names to '*'", "select pg_reload_conf()"])
        }
        try peer.sql([
            "create table usertable (id text primary key, body text)",
            """
            insert into usertable select 'user' || lpad(n::text, 8, '0'), '0 ' || repeat('x', 90) from generate_series(0, \
            \(keys - 1)) n
            """, "vacuum analyze usertable", "checkpoint",
        ])
        return peer
    }

    private func startServer(_ data: String, port: Int, named name: String, _ cluster: BenchCluster) throws {
        let settings = [
            "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "shared_buffers=128MB",
            "synchronous_commit=on", "fsync=on", "wal_level=replica", "hot_standby=on", "ssl=off",
        ]
        let arguments = ["-D", data, "-p", "\(port)"] + settings.flatMap { ["-c", $0] }
        let (program, words) = Self.command("\(Self.programs)/postgres", arguments)
        try cluster.local.children.start(name, program, words, log: "\(cluster.local.folder)/\(name).log")
    }

    private func waitUntilReady(_ port: Int, _ cluster: BenchCluster) async throws {
        try await cluster.eventually("PostgreSQL at \(port)", everyMilliseconds: 100) {
            try BenchProgram.run("\(Self.programs)/pg_isready", ["-q", "-h", "127.0.0.1", "-p", "\(port)"])
            return ()
        }
    }

    /// Each a transaction of its own.
    private func sql(_ statements: [String]) throws {
        try BenchProgram.run(
            "/usr/bin/psql",
            ["-q", "-X", "-h", "127.0.0.1", "-p", "\(port)", "-U", Self.user, "-v", "ON_ERROR_STOP=1"]
                + statements.flatMap { ["-c", $0] })
    }

    // MARK: - Load

    enum Load: String {
        case write =
            "insert into usertable values ('user' || lpad(:n::text, 8, '0'), '1 ' || repeat('x', 90)) on conflict (id) do update set body = excluded.body;"
        case read = "select body from usertable where id = 'user' || lpad(:n::text, 8, '0');"
    }

    /// As many clients as ours, each with one connection, who ask again when they are answered.
    func run(_ load: Load, clients: Int, keys: Int, seconds: Double) async throws -> (rate: Double, times: Samples) {
        let warmUp = 0.7
        let script = "\(folder)/load.sql"
        try Data("\\set n random(0, \(keys - 1))\n\(load.rawValue)\n".utf8).write(to: URL(filePath: script))
        let prefix = "\(folder)/times"
        let logs = { try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("times") } }
        for old in try logs() { unlink("\(folder)/\(old)") }
        try BenchProgram.run(
            "/usr/bin/pgbench",
            [
                "-h", "127.0.0.1", "-p", "\(port)", "-U", Self.user, "-n", "-M", "prepared", "-c", "\(clients)", "-j", "1",
                "-T", "\(Int((seconds + warmUp).rounded(.up)))", "-l", "--log-prefix", prefix, "-f", script, "postgres",
            ])
        // client, number, microseconds it took, script, and when it ended: seconds and microseconds.
        var ended: [(at: Double, milliseconds: Double)] = []
        for log in try logs() {
            let text = String(decoding: try Data(contentsOf: URL(filePath: "\(folder)/\(log)")), as: UTF8.self)
            for line in text.split(separator: "\n") {
                let fields = line.split(separator: " ").compactMap { Double($0) }
                guard fields.count >= 6 else { throw BenchFailure("pgbench wrote: \(line)") }
                ended.append((fields[4] + fields[5] / 1e6, fields[2] / 1_000))
            }
        }
        guard let first = ended.map(\.at).min() else { throw BenchFailure("pgbench: no transaction at all") }
        let window = (first + warmUp)..<(first + warmUp + seconds)
        var times = Samples()
        for one in ended where window.contains(one.at) { times.add(one.milliseconds) }
        return (Double(times.values.count) / seconds, times)
    }

    // MARK: - As whom

    /// The server refuses to run as root.
    private static func command(_ program: String, _ arguments: [String]) -> (String, [String]) {
        guard geteuid() == 0 else { return (program, arguments) }
        return (
            "/usr/bin/setpriv", ["--reuid=\(user)", "--regid=\(user)", "--init-groups", "--", program] + arguments
        )
    }

    private static func asUser(_ program: String, _ arguments: [String]) throws {
        let (program, words) = command(program, arguments)
        try BenchProgram.run(program, words)
    }

    private static func own(_ folder: String) throws {
        guard geteuid() == 0 else { return }
        try BenchProgram.run("/bin/chown", [user, folder])
        // The folder above holds keys that are nobody else's: it may be passed through, not read.
        try BenchProgram.run("/bin/chmod", ["a+x", URL(filePath: folder).deletingLastPathComponent().path])
    }
}
