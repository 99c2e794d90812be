/// How one list of lines became another, for people to read.
package enum LineDifference {
    /// Every line of both once: `  ` in both, `- ` only in the old one, `+ ` only in the new one.
    /// - Complexity: the product of both counts; meant for pages, not for books.
    package static func lines(from old: [String], to new: [String]) -> [String] {
        // Longest common subsequence: `common[i][j]` is its length from old[i] and new[j] on.
        var common = [[Int]](repeating: [Int](repeating: 0, count: new.count + 1), count: old.count + 1)
        for i in old.indices.reversed() {
            for j in new.indices.reversed() {
                common[i][j] = old[i] == new[j] ? common[i + 1][j + 1] + 1 : max(common[i + 1][j], common[i][j + 1])
            }
        }
        var result: [String] = []
        var (i, j) = (0, 0)
        while i < old.count || j < new.count {
            if i < old.count, j < new.count, old[i] == new[j] {
                result.append("  " + old[i])
                (i, j) = (i + 1, j + 1)
            } else if i < old.count, j == new.count || common[i + 1][j] >= common[i][j + 1] {
                result.append("- " + old[i])
                i += 1
            } else {
                result.append("+ " + new[j])
                j += 1
            }
        }
        return result
    }
}
