import Foundation

/// A table of embeddings, `GBROWS1`: integers of 2, 4 or 8 bits with float32 scales, bfloat16 or float32. `MANIFEST.md`
/// has the layout. The file is mapped; a row is read where it lies.
public final class RowTable: Sendable {
    private static let magic = Array("GBROWS1\0".utf8)

    public let table: Calls.Table
    private let file: MappedFile

    /// - Throws: `Refused`: the file is not what the manifest says.
    public init(_ table: Calls.Table, file url: URL, name: String) throws {
        self.table = table
        file = try MappedFile(url)
        try RowTable.check(table, bytes: file.count, name: name)
        let begins = file.withBytes { Array($0.prefix(RowTable.magic.count)) }
        guard begins == RowTable.magic else { throw Refused("\(file.name) does not begin as a table of rows does") }
    }

    /// That every row and scale lies inside a file of so many bytes.
    static func check(_ table: Calls.Table, bytes: Int, name: String) throws {
        func refuse(_ what: String) -> Refused { Refused("table \(name): \(what)") }
        let floats = table.bits == 16 || table.bits == 32
        guard floats || [2, 4, 8].contains(table.bits) else { throw refuse("elements of \(table.bits) bits") }
        guard table.rows > 0, table.columns > 0, table.columns <= 1 << 24, table.rows <= 1 << 28 else {
            throw refuse("\(table.rows) rows of \(table.columns)")
        }
        guard table.shape.reduce(1, { $0 &* $1 }) == table.columns, table.shape.count <= 4 else {
            throw refuse("rows of \(table.columns) have no shape \(table.shape)")
        }
        guard table.rowBytes == (table.columns * table.bits + 7) / 8 else {
            throw refuse("\(table.rowBytes) bytes for \(table.columns) elements of \(table.bits) bits")
        }
        guard floats ? table.groups == 0 : table.groups > 0 && table.columns % table.groups == 0 else {
            throw refuse("\(table.groups) scales for a row of \(table.columns)")
        }
        guard table.multiplier.isFinite else { throw refuse("a multiplier of \(table.multiplier)") }
        let rowsEnd = table.rowsOffset.addingReportingOverflow(table.rows * table.rowBytes)
        let scalesEnd = table.scalesOffset.addingReportingOverflow(4 * table.rows * table.groups)
        guard !rowsEnd.overflow, rowsEnd.partialValue <= bytes, !scalesEnd.overflow, scalesEnd.partialValue <= bytes,
            table.rowsOffset >= magic.count
        else { throw refuse("it reaches beyond its file of \(bytes) bytes") }
    }

    /// Writes the row of a token, `columns` floats: code * scale * multiplier in float32, in this order.
    ///
    /// - Throws: `Refused`: the table has no such row.
    public func write(row: Int32, into out: UnsafeMutablePointer<Float>) throws {
        guard row >= 0, Int(row) < table.rows else {
            throw Refused("\(file.name): token \(row) of \(table.rows) rows")
        }
        let row = Int(row), multiplier = Float(table.multiplier)
        file.withBytes { bytes in
            let begin = table.rowsOffset + row * table.rowBytes
            switch table.bits {
            case 32:
                for c in 0..<table.columns {
                    out[c] = Float(bitPattern: little(bytes, begin + 4 * c)) * multiplier
                }
            case 16:
                for c in 0..<table.columns {
                    let bits = UInt32(bytes[begin + 2 * c]) | UInt32(bytes[begin + 2 * c + 1]) << 8
                    out[c] = Float(bitPattern: bits << 16) * multiplier
                }
            default:
                integers(bytes, begin, table.scalesOffset + 4 * row * table.groups, multiplier, out)
            }
        }
    }

    private func integers(
        _ bytes: UnsafeRawBufferPointer, _ begin: Int, _ scales: Int, _ multiplier: Float,
        _ out: UnsafeMutablePointer<Float>
    ) {
        let bits = table.bits, width = table.columns / table.groups, unused = Int8(8 - bits)
        for group in 0..<table.groups {
            let scale = Float(bitPattern: little(bytes, scales + 4 * group))
            for c in (group * width)..<((group + 1) * width) {
                // Low bits first; the shifts there and back carry the sign.
                let bit = c * bits
                let shifted = Int8(bitPattern: (bytes[begin + bit / 8] >> UInt8(bit % 8)) << UInt8(unused))
                out[c] = Float(shifted >> unused) * scale * multiplier
            }
        }
    }

    private func little(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }
}
