import Model
import Testing

@Suite struct ConfigurationEntriesTests {
    private func key(_ name: String) -> ConfigurationKey { ConfigurationKey(scope: .global, key: name) }

    private func entry(_ name: String, _ value: String) -> ConfigurationEntry {
        ConfigurationEntry(scope: .global, key: name, value: value, version: 1)
    }

    @Test("what the entries take together follows each that is set, set anew or removed")
    func bytes() {
        var entries = ConfigurationEntries()
        entries[key("a")] = entry("a", "12")
        entries[key("bc")] = entry("bc", "345")
        #expect(entries.bytes == 8 && entries.count == 2)
        entries[key("bc")] = entry("bc", "3")
        #expect(entries.bytes == 6 && entries.count == 2)
        for _ in 0..<2 {
            entries[key("a")] = nil
            #expect(entries.bytes == 3 && entries.count == 1)
        }
        entries[key("bc")] = nil
        #expect(entries.bytes == 0 && entries.isEmpty)
    }

    @Test("a version that somebody holds stays as it was")
    func versions() {
        var entries = ConfigurationEntries()
        for name in ["a", "b"] { entries[key(name)] = entry(name, "1") }
        let held = entries
        entries[key("a")] = entry("a", "changed")
        entries[key("b")] = nil
        #expect(held.inOrder == ["a", "b"].map { entry($0, "1") } && held.bytes == 4)
    }

    @Test("entries come by scope and key, and are equal, in whatever order they were set")
    func order() {
        let names = (0..<200).map { "key \($0)" }
        var (there, back) = (ConfigurationEntries(), ConfigurationEntries())
        for name in names { there[key(name)] = entry(name, "1") }
        for name in names.reversed() { back[key(name)] = entry(name, "1") }
        #expect(there.inOrder.map(\.key) == names.sorted() && back.inOrder == there.inOrder && back == there)
    }
}
