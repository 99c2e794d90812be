// Makes a failing plan short: whoever reads it should see only what matters.

/// Leaves out ever smaller runs of `items` as long as `fails` stays true (delta debugging, Zeller and Hildebrandt 2002).
/// - Parameter budget: how often `fails` may be asked.
/// - Returns: a list for which `fails` is true, at worst `items` themselves, and of which no single item can be left out when the
///   budget was enough.
package func shrink<Item>(_ items: [Item], budget: Int, fails: ([Item]) -> Bool) -> [Item] {
    var kept = items
    var left = budget
    var length = max(kept.count / 2, 1)
    while !kept.isEmpty {
        var start = 0
        var removed = false
        while start < kept.count {
            guard left > 0 else { return kept }
            left -= 1
            let candidate = Array(kept[..<start] + kept[min(start + length, kept.count)...])
            if fails(candidate) {
                kept = candidate
                removed = true
            } else {
                start += length
            }
        }
        if length == 1, !removed { return kept }
        length = max(min(length / 2, kept.count / 2), 1)
    }
    return kept
}
