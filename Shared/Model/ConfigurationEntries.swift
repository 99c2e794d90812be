private import HashTreeCollections

/// The committed configuration: one entry for each scope and key, and how much they take together.
///
/// It changes one entry at a time while watchers still hold the version before; the versions share all but the path to what changed.
package struct ConfigurationEntries: Hashable, Sendable {
    private var entries = TreeDictionary<ConfigurationKey, ConfigurationEntry>()
    /// What the entries' keys and values take, in bytes.
    package private(set) var bytes = 0

    package init() {}

    package var count: Int { entries.count }
    package var isEmpty: Bool { entries.isEmpty }
    /// In no order.
    package var values: some Sequence<ConfigurationEntry> { entries.lazy.map(\.value) }
    /// By scope, then by key.
    package var inOrder: [ConfigurationEntry] { entries.sorted { $0.key < $1.key }.map(\.value) }

    package subscript(key: ConfigurationKey) -> ConfigurationEntry? {
        get { entries[key] }
        set {
            bytes += (newValue?.bytes ?? 0) - (entries[key]?.bytes ?? 0)
            entries[key] = newValue
        }
    }
}
