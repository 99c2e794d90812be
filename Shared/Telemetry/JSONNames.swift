import FoundationEssentials

/// Names that stand twice in one object. A decoder takes one of the two and says nothing; which one, the sender cannot know.
package enum JSONNames {
    private struct Level {
        /// Nil for an array.
        var names: Set<String>?
        var name = ""
        var element = 0
    }

    /// The path of the first member whose object has one of its name already.
    ///
    /// Total on any bytes, and right for JSON that a decoder has accepted, whose depth is bounded by that: its form is not looked at
    /// again.
    package static func firstRepeated(in bytes: [UInt8]) -> String? {
        var levels: [Level] = []
        var isNameNext = false
        var place = 0
        while place < bytes.count {
            switch bytes[place] {
            case UInt8(ascii: "{"):
                levels.append(Level(names: []))
                isNameNext = true
            case UInt8(ascii: "["):
                levels.append(Level(names: nil))
                isNameNext = false
            case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = levels.popLast()
            case UInt8(ascii: ","):
                guard let last = levels.indices.last else { return nil }
                isNameNext = levels[last].names != nil
                levels[last].element += 1
            case UInt8(ascii: "\""):
                let start = place
                place = end(ofTextAt: start, in: bytes)
                guard isNameNext, let last = levels.indices.last, place < bytes.count else { break }
                isNameNext = false
                let name = text(bytes[start...place])
                levels[last].name = name
                if levels[last].names?.insert(name).inserted == false { return path(levels) }
            default: break
            }
            place += 1
        }
        return nil
    }

    /// Where the closing quote is.
    private static func end(ofTextAt start: Int, in bytes: [UInt8]) -> Int {
        var place = start + 1
        while place < bytes.count, bytes[place] != UInt8(ascii: "\"") {
            place += bytes[place] == UInt8(ascii: "\\") ? 2 : 1
        }
        return place
    }

    /// What a text in quotes says: two spellings of one name are one name.
    private static func text(_ quoted: ArraySlice<UInt8>) -> String {
        if quoted.contains(UInt8(ascii: "\\")), let text = try? JSONDecoder().decode(String.self, from: Data(quoted)) {
            return text
        }
        return String(decoding: quoted.dropFirst().dropLast(), as: UTF8.self)
    }

    private static func path(_ levels: [Level]) -> String {
        levels.reduce("") { path, level in
            guard level.names != nil else { return path + "[\(level.element)]" }
            return path.isEmpty ? level.name : path + "." + level.name
        }
    }
}
