// The machine's own package database: real data, of every length, with every quote and comma that people put into it.

import Client
import Glibc

/// The packages installed on this machine.
struct PackageList: Sendable {
    /// The columns of the table `packages`, in the order of the file.
    static let columns: [(name: String, type: String)] = [
        ("name", "text"), ("version", "text"), ("architecture", "text"), ("section", "text"), ("installed_kib", "integer"),
        ("maintainer", "text"), ("summary", "text"),
    ]

    /// A column that the file lacks: what the load writes.
    static let note = "note"

    /// A separator that no field of a package holds: the ASCII unit separator.
    private static let separator: Character = "\u{1F}"

    /// In the order of the keys, which is that of their bytes.
    let rows: [[String]]

    var names: [String] { rows.map { $0[0] } }

    /// Asks `dpkg-query`.
    ///
    /// - Throws: `DemoFailure` where there is no package database.
    init() throws {
        let fields = [
            "${binary:Package}", "${Version}", "${Architecture}", "${Section}", "${Installed-Size}", "${Maintainer}",
            "${binary:Summary}",
        ]
        let output = try Self.run(["dpkg-query", "-W", "-f", fields.joined(separator: String(Self.separator)) + "\n"])
        var rows: [[String]] = []
        for line in output.split(separator: "\n") {
            var row = line.split(separator: Self.separator, omittingEmptySubsequences: false).map(String.init)
            guard row.count == Self.columns.count, !row[0].isEmpty else { continue }
            // A package that was never unpacked has no size.
            if Int64(row[4]) == nil { row[4] = "0" }
            rows.append(row)
        }
        guard !rows.isEmpty else { throw DemoFailure("dpkg-query lists no packages") }
        rows.sort { Array($0[0].utf8).lexicographicallyPrecedes(Array($1[0].utf8)) }
        self.rows = rows
    }

    /// CSV with a header, every field quoted.
    var csv: String {
        let header = Self.columns.map(\.name).joined(separator: ",")
        return header + "\n" + rows.map { $0.map(Self.quoted).joined(separator: ",") + "\n" }.joined()
    }

    /// The table's row of one package.
    func row(_ number: Int, note: String) -> JSONValue {
        var members = [Self.note: JSONValue.string(note)]
        for (column, field) in zip(Self.columns, rows[number]) {
            members[column.name] = column.type == "integer" ? .number(Int64(field) ?? 0) : .string(field)
        }
        return .object(members)
    }

    /// Text of that many bytes for each number, made of the packages' summaries: it compresses as what people write does.
    func prose(bytes: Int) -> @Sendable (Int) -> String {
        let text = Array(rows.map { $0[6] }.joined(separator: "; ").utf8.filter { $0 < 0x80 })
        return { number in
            var part: [UInt8] = []
            var place = number &* 7_919 % max(1, text.count)
            while part.count < bytes, !text.isEmpty {
                let end = min(text.count, place + bytes - part.count)
                part += text[place..<end]
                place = 0
            }
            return String(decoding: part, as: UTF8.self)
        }
    }

    /// RFC 4180: in quotes, each quote doubled.
    static func quoted(_ field: String) -> String {
        "\"" + field.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    /// Keys that cut the sorted `names` into `parts` of equal size.
    static func quantiles(_ names: [String], parts: Int) -> [String] {
        (1..<parts).map { names[$0 * names.count / parts] }
    }

    /// What a program prints; its errors go to ours.
    private static func run(_ arguments: [String]) throws -> String {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw DemoFailure("pipe: \(String(cString: strerror(errno)))") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var process = pid_t()
        let result = posix_spawnp(&process, arguments[0], &actions, nil, &words, environ)
        close(ends[1])
        defer { close(ends[0]) }
        guard result == 0 else { throw DemoFailure("cannot run \(arguments[0]): \(String(cString: strerror(result)))") }
        var output: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(ends[0], &block, block.count)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { break }
            output += block[0..<count]
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
        guard status == 0 else { throw DemoFailure("\(arguments[0]) failed") }
        return String(decoding: output, as: UTF8.self)
    }
}
