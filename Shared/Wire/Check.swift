// The checks that readers are made of. Each names the field at fault.

package import FoundationEssentials
package import Model

/// Bounds of what a reader accepts, beside those of `Limits`.
package enum WireLimits {
    /// Bytes of a text for people, or of an address.
    package static let textBytes = 64 * 1_024
    /// Bytes of a public key.
    package static let publicKeyBytes = 4 * 1_024
    /// Bytes of a certificate.
    package static let certificateBytes = 16 * 1_024
    /// Elements of a list that has no limit of its own: an agent's partitions, a delta's changes.
    package static let listCount = 1 << 20
    /// Counters stay below this, so that counting on from one cannot overflow.
    package static let counter = UInt64(1) << 62
    /// Milliseconds around 1970, so that conversions to other units cannot overflow.
    package static let wallTime = Int64(1) << 53
}

/// Readers of single fields.
package enum Check {
    package static func present<T>(_ value: T?, _ field: String) throws(WireError) -> T {
        guard let value else { throw WireError(field, .missing) }
        return value
    }

    /// A counter or identifier: any number below `WireLimits.counter`.
    package static func counter(_ number: UInt64, _ field: String) throws(WireError) -> UInt64 {
        guard number < WireLimits.counter else { throw WireError(field, .invalid("\(number) is out of range")) }
        return number
    }

    package static func identifier<ID: NumericID>(_ number: UInt64, _ field: String) throws(WireError) -> ID {
        ID(try counter(number, field))
    }

    /// A count of starts that another may follow.
    package static func generation(_ number: UInt64, _ field: String) throws(WireError) -> Generation {
        guard number < Limits.generation else { throw WireError(field, .invalid("\(number) is out of range")) }
        return Generation(number)
    }

    package static func epoch(_ number: UInt64, _ field: String) throws(WireError) -> Epoch {
        Epoch(try counter(number, field))
    }

    package static func text(
        _ text: String, _ field: String, atMost limit: Int = WireLimits.textBytes
    ) throws(WireError) -> String {
        guard text.utf8.count <= limit else { throw WireError(field, .tooLarge(count: text.utf8.count, limit: limit)) }
        return text
    }

    package static func bytes(_ data: Data, _ field: String, atMost limit: Int) throws(WireError) -> [UInt8] {
        guard data.count <= limit else { throw WireError(field, .tooLarge(count: data.count, limit: limit)) }
        return [UInt8](data)
    }

    package static func key(_ data: Data, _ field: String) throws(WireError) -> Key {
        Key(try bytes(data, field, atMost: Limits.keyBytes))
    }

    /// A value with a form of its own, such as a name.
    package static func formed<Text, T>(
        _ text: Text, _ field: String, as make: (Text) throws(InvalidValue) -> T
    ) throws(WireError) -> T {
        do {
            return try make(text)
        } catch {
            throw WireError(field, .invalid(error.detail))
        }
    }

    package static func node(_ name: String, _ field: String) throws(WireError) -> NodeID {
        try formed(name, field, as: NodeID.init(_:))
    }

    package static func list<Wire, T>(
        _ elements: [Wire], _ field: String, atMost limit: Int = WireLimits.listCount, _ read: (Wire) throws(WireError) -> T
    ) throws(WireError) -> [T] {
        guard elements.count <= limit else { throw WireError(field, .tooLarge(count: elements.count, limit: limit)) }
        var values: [T] = []
        values.reserveCapacity(elements.count)
        for element in elements { values.append(try read(element)) }
        return values
    }

    package static func count(_ number: UInt32, _ field: String, atMost limit: Int) throws(WireError) -> Int {
        guard number <= limit else { throw WireError(field, .tooLarge(count: Int(number), limit: limit)) }
        return Int(number)
    }

    package static func wallTime(_ milliseconds: Int64, _ field: String) throws(WireError) -> WallTime {
        guard milliseconds.magnitude <= WireLimits.wallTime.magnitude else {
            throw WireError(field, .invalid("\(milliseconds) is out of range"))
        }
        return WallTime(milliseconds: milliseconds)
    }

    package static func span(_ microseconds: Int64, _ field: String) throws(WireError) -> Span {
        guard (0...WireLimits.wallTime).contains(microseconds) else {
            throw WireError(field, .invalid("\(microseconds) us is out of range"))
        }
        return Span(microseconds: microseconds)
    }

    /// A measured quantity: finite and not negative, so that arithmetic and conversions on it are safe.
    package static func quantity(_ number: Double, _ field: String) throws(WireError) -> Double {
        guard number.isFinite, number >= 0 else { throw WireError(field, .invalid("\(number) is not a quantity")) }
        return number
    }

    /// A field whose only legal value is true: the marker of a case without content.
    package static func marker(_ value: Bool, _ field: String) throws(WireError) {
        guard value else { throw WireError(field, .invalid("a marker must be true")) }
    }
}
