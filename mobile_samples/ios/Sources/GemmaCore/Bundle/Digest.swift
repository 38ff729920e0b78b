import Foundation

#if canImport(CryptoKit)
    import CryptoKit
#endif

/// The digests of a bundle, in lower-case hex.
public enum Digest {
    /// Bytes that are read from a file at once.
    public static let buffer = 1 << 17

    public static func sha256(of bytes: [UInt8]) -> String {
        var hash = Sha256()
        bytes.withUnsafeBytes { hash.update($0) }
        return hex(hash.finish())
    }

    /// Of a whole file; `tick` is told how many bytes were read so far, and may throw to end it.
    ///
    /// - Throws: `CocoaError` of a file that cannot be read, and what `tick` throws.
    public static func sha256(file: URL, tick: (Int64) throws -> Void) throws -> String {
        let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CocoaError(.fileReadUnknown) }
        defer { close(descriptor) }
        var hash = Sha256()
        var done: Int64 = 0
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: buffer, alignment: 16)
        defer { piece.deallocate() }
        while true {
            let count = read(descriptor, piece.baseAddress, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw CocoaError(.fileReadUnknown) }
            if count == 0 { return hex(hash.finish()) }
            hash.update(UnsafeRawBufferPointer(rebasing: piece[..<count]))
            done += Int64(count)
            try tick(done)
        }
    }

    public static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Over tokens as 32-bit little-endian integers: `tokens_sha256` of a golden.
    public static func tokens(_ tokens: [Int32]) -> String {
        sha256(of: tokens.flatMap { bytes(UInt32(bitPattern: $0)) })
    }

    /// Over tokens and their logits, alternating: `digest` of a golden's step, 16 digits.
    public static func step(_ tokens: [Int32], _ logits: [Double]) -> String {
        let pairs = zip(tokens, logits).flatMap { token, logit in
            bytes(UInt32(bitPattern: token)) + bytes(Float(logit).bitPattern)
        }
        return String(sha256(of: pairs).prefix(16))
    }

    private static func bytes(_ word: UInt32) -> [UInt8] {
        withUnsafeBytes(of: word.littleEndian) { Array($0) }
    }
}

#if canImport(CryptoKit)
    /// SHA-256 of bytes that come in pieces.
    public struct Sha256 {
        private var hash = SHA256()

        public init() {}

        public mutating func update(_ bytes: UnsafeRawBufferPointer) {
            hash.update(bufferPointer: bytes)
        }

        /// The 32 bytes of the digest; nothing may follow.
        public mutating func finish() -> [UInt8] {
            Array(hash.finalize())
        }
    }
#else
    /// SHA-256 of bytes that come in pieces: FIPS 180-4, sections 5.1.1 (padding), 5.3.3 (first state), 6.2.2 (blocks).
    public struct Sha256 {
        private typealias State = (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32)
        private var state: State = (
            0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19
        )
        /// The begin of a block; fewer than 64 bytes.
        private var rest: [UInt8] = []
        private var length: UInt64 = 0

        public init() {
            rest.reserveCapacity(128)
        }

        public mutating func update(_ bytes: UnsafeRawBufferPointer) {
            length &+= UInt64(bytes.count)
            var left = bytes[...]
            if !rest.isEmpty {
                let more = left.prefix(64 - rest.count)
                rest.append(contentsOf: more)
                left = left.dropFirst(more.count)
                guard rest.count == 64 else { return }
                rest.withUnsafeBytes { Sha256.blocks($0, &state) }
                rest.removeAll(keepingCapacity: true)
            }
            let whole = left.count / 64 * 64
            Sha256.blocks(UnsafeRawBufferPointer(rebasing: left.prefix(whole)), &state)
            rest.append(contentsOf: left.dropFirst(whole))
        }

        /// The 32 bytes of the digest; nothing may follow.
        public mutating func finish() -> [UInt8] {
            let bits = length &* 8
            rest.append(0x80)
            while rest.count % 64 != 56 { rest.append(0) }
            withUnsafeBytes(of: bits.bigEndian) { rest.append(contentsOf: $0) }
            rest.withUnsafeBytes { Sha256.blocks($0, &state) }
            let words = [state.0, state.1, state.2, state.3, state.4, state.5, state.6, state.7]
            return words.flatMap { word in withUnsafeBytes(of: word.bigEndian) { Array($0) } }
        }

        /// A multiple of 64 bytes.
        private static func blocks(_ bytes: UnsafeRawBufferPointer, _ state: inout State) {
            guard let begin = bytes.baseAddress else { return }
            constants.withUnsafeBufferPointer { constants in
                withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { words in
                    guard let k = constants.baseAddress, let w = words.baseAddress else { return }
                    var at = begin
                    let end = begin + bytes.count
                    while at < end {
                        schedule(at, w)
                        block(w, k, &state)
                        at += 64
                    }
                }
            }
        }

        @inline(__always)
        private static func schedule(_ bytes: UnsafeRawPointer, _ w: UnsafeMutablePointer<UInt32>) {
            var i = 0
            while i < 16 {
                w[i] = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4 &* i, as: UInt32.self))
                i &+= 1
            }
            while i < 64 {
                let a = w[i &- 15]
                let b = w[i &- 2]
                let s0 = turned(a, 7) ^ turned(a, 18) ^ (a &>> 3)
                let s1 = turned(b, 17) ^ turned(b, 19) ^ (b &>> 10)
                w[i] = w[i &- 16] &+ s0 &+ w[i &- 7] &+ s1
                i &+= 1
            }
        }

        @inline(__always)
        private static func block(
            _ w: UnsafeMutablePointer<UInt32>, _ k: UnsafePointer<UInt32>, _ state: inout State
        ) {
            var (a, b, c, d, e, f, g, h) = state
            var i = 0
            while i < 64 {  // after eight rounds the names are back in their places
                round(a, b, c, &d, e, f, g, &h, w[i] &+ k[i])
                round(h, a, b, &c, d, e, f, &g, w[i &+ 1] &+ k[i &+ 1])
                round(g, h, a, &b, c, d, e, &f, w[i &+ 2] &+ k[i &+ 2])
                round(f, g, h, &a, b, c, d, &e, w[i &+ 3] &+ k[i &+ 3])
                round(e, f, g, &h, a, b, c, &d, w[i &+ 4] &+ k[i &+ 4])
                round(d, e, f, &g, h, a, b, &c, w[i &+ 5] &+ k[i &+ 5])
                round(c, d, e, &f, g, h, a, &b, w[i &+ 6] &+ k[i &+ 6])
                round(b, c, d, &e, f, g, h, &a, w[i &+ 7] &+ k[i &+ 7])
                i &+= 8
            }
            state = (
                state.0 &+ a, state.1 &+ b, state.2 &+ c, state.3 &+ d,
                state.4 &+ e, state.5 &+ f, state.6 &+ g, state.7 &+ h
            )
        }

        /// One round without the moves: what was `d` becomes the next `e`, what was `h` the next `a`.
        @inline(__always)
        private static func round(
            _ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: inout UInt32,
            _ e: UInt32, _ f: UInt32, _ g: UInt32, _ h: inout UInt32, _ word: UInt32
        ) {
            let t = h &+ (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) &+ (g ^ (e & (f ^ g))) &+ word
            d = d &+ t
            h = t &+ (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) &+ ((a & b) | (c & (a | b)))
        }

        @inline(__always)
        private static func turned(_ word: UInt32, _ bits: UInt32) -> UInt32 {
            (word &>> bits) | (word &<< (32 &- bits))
        }

        private static let constants: [UInt32] = [
            0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
            0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
            0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
            0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
            0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
            0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
            0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
            0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
        ]
    }
#endif
