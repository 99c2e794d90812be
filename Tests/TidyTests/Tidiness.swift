import Foundation

// Rules that the compiler does not keep. Each is a function of a file's text, so that a planted violation can be shown to be found.

/// One finding: where, and which rule.
struct Finding: Hashable, CustomStringConvertible {
    let file: String
    let line: Int
    let rule: String

    var description: String { "\(file):\(line): \(rule)" }
}

enum Tidiness {
    /// The pure cores, by folder. They import nothing but Swift, its collections and one another.
    static let cores: [String: String] = [
        "Model": "Shared", "Membership": "Shared", "RoutingTable": "Shared", "Access": "Shared", "KeyEncoding": "Shared",
        "DurableLog": "Shared", "Replication": "Agent", "Movement": "Agent", "AgentCore": "Agent", "Consensus": "Coordinator",
        "Catalog": "Coordinator", "Planning": "Coordinator", "CoordinatorCore": "Coordinator",
    ]

    /// What a core may import that is not ours: collections, values that touch nothing outside.
    static let collections: Set<String> = ["HashTreeCollections", "HeapModule"]

    /// Files in which `@unchecked Sendable` stands with its proof, by path from the root.
    static let uncheckedSendableAllowed: Set<String> = [
        "Shared/Identity/PrivateKey.swift", "Shared/Identity/PublicKey.swift",
    ]

    /// What a core's text must not hold: clocks, randomness, I/O.
    static let coreBans = [
        "ContinuousClock", "SuspendingClock", "Date(", "DispatchTime", "clock_gettime", "SystemRandomNumberGenerator",
        ".random(in:",
        ".randomElement()", ".shuffled()", ".shuffle()", "print(", "FileHandle", "FileManager", "ProcessInfo", "Task {",
        "Task(",
        "Task.", "Mutex(",
    ]

    /// What no source of ours may hold.
    static let bans = ["try!", "as!", "fatalError(", "Task.detached", "nonisolated(unsafe)", "-Ounchecked"]

    /// Top folders that every Linux machine has; a path into any other says where one machine keeps things.
    private static let commonFolders: Set<Substring> = ["bin", "dev", "etc", "lib", "proc", "run", "sys", "tmp", "usr", "var"]

    /// The beginnings of paths that hold on one machine only: people's folders, and where this copy of the project lies.
    static func machinePaths(root: String) -> [String] {
        let top = root.split(separator: "/").first ?? ""
        let own = commonFolders.contains(top) ? root + "/" : "/\(top)/"
        return own == "/home/" ? ["/home/", "/Users/"] : ["/home/", "/Users/", own]
    }

    /// Whether `text` names a folder of one machine, be it in a comment or a literal.
    static func findings(ofMachinePathsIn text: String, file: String, root: String) -> [Finding] {
        let paths = machinePaths(root: root)
        return text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().flatMap { index, line in
            paths.filter { path in
                // In the middle of a longer path the same words are somebody's own folders.
                line.ranges(of: path).contains { range in
                    guard range.lowerBound > line.startIndex else { return true }
                    let before = line[line.index(before: range.lowerBound)]
                    return !before.isLetter && !before.isNumber && !"./_-)}".contains(before)
                }
            }.map { Finding(file: file, line: index + 1, rule: "names a machine's folder: \($0)") }
        }
    }

    static func findings(inCore text: String, file: String) -> [Finding] {
        lines(of: text).flatMap { number, line -> [Finding] in
            // A generator that is passed in is an input like any other.
            let bans = line.contains("using:") ? coreBans.filter { $0 != ".random(in:" } : coreBans
            var found = bans.filter { holds(line, $0) }.map { Finding(file: file, line: number, rule: "core: \($0)") }
            if let module = importedModule(line), cores[module] == nil, !collections.contains(module) {
                found.append(Finding(file: file, line: number, rule: "core imports \(module)"))
            }
            return found
        }
    }

    static func findings(inSource text: String, file: String) -> [Finding] {
        lines(of: text).flatMap { number, line -> [Finding] in
            var found = bans.filter { holds(line, $0) }.map { Finding(file: file, line: number, rule: "banned: \($0)") }
            if line.contains("@unchecked Sendable"), !uncheckedSendableAllowed.contains(file) {
                found.append(Finding(file: file, line: number, rule: "banned: @unchecked Sendable"))
            }
            return found
        }
    }

    /// Whether `line` holds `word`, and not merely as the end of a longer name.
    private static func holds(_ line: String, _ word: String) -> Bool {
        line.ranges(of: word).contains { range in
            guard word.first?.isLetter == true, range.lowerBound > line.startIndex else { return true }
            let before = line[line.index(before: range.lowerBound)]
            return !before.isLetter && !before.isNumber && before != "_"
        }
    }

    /// The module that an import line names, whatever stands before `import`.
    private static func importedModule(_ line: String) -> String? {
        let words = line.split(separator: " ").map(String.init)
        guard let at = words.firstIndex(of: "import"), at + 1 < words.count,
            words[..<at].allSatisfy({
                ["package", "public", "internal", "private", "fileprivate", "@preconcurrency", "@testable"].contains($0)
            })
        else { return nil }
        let kinds: Set = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var"]
        let name = kinds.contains(words[at + 1]) && at + 2 < words.count ? words[at + 2] : words[at + 1]
        return name.split(separator: ".").first.map(String.init)
    }

    /// The lines with their numbers, comments and string literals left out.
    private static func lines(of text: String) -> [(Int, String)] {
        text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap { index, line in
            let code = withoutLiterals(String(line))
            return code.allSatisfy(\.isWhitespace) ? nil : (index + 1, code)
        }
    }

    private static func withoutLiterals(_ line: String) -> String {
        var code = ""
        var inLiteral = false
        var previous: Character = " "
        for character in line {
            if character == "\"" && previous != "\\" { inLiteral.toggle() }
            if !inLiteral, character == "/", previous == "/" { return String(code.dropLast()) }
            if !inLiteral { code.append(character) }
            previous = character
        }
        return code
    }
}
