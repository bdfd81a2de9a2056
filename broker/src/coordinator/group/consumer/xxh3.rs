//! XXH3 with 64 bits and without a seed, as its specification says: the hash in which Kafka keeps a group's metadata.

/// The key that the specification gives to hashes without one of their own.
const SECRET: [u8; 192] = [
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde,
    0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79,
    0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46,
    0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb,
    0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2,
    0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c,
    0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59,
    0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3,
    0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb, 0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3,
    0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8,
    0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb,
    0xca, 0xbb, 0x4b, 0x40, 0x7e,
];

const PRIME32_1: u64 = 0x9e37_79b1;
const PRIME32_2: u64 = 0x85eb_ca77;
const PRIME32_3: u64 = 0xc2b2_ae3d;
const PRIME64_1: u64 = 0x9e37_79b1_85eb_ca87;
const PRIME64_2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const PRIME64_3: u64 = 0x1656_67b1_9e37_79f9;
const PRIME64_4: u64 = 0x85eb_ca77_c2b2_ae63;
const PRIME64_5: u64 = 0x27d4_eb2f_1656_67c5;
const PRIME_MX1: u64 = 0x1656_6791_9e37_79f9;
const PRIME_MX2: u64 = 0x9fb2_1c65_1e98_df25;

const STRIPE: usize = 64;
const SECRET_STEP: usize = 8;

/// The hash of these bytes.
pub(super) fn hash(data: &[u8]) -> u64 {
    match data.len() {
        0 => avalanche64(u64_at(&SECRET, 56) ^ u64_at(&SECRET, 64)),
        1..=3 => up_to_3(data),
        4..=8 => up_to_8(data),
        9..=16 => up_to_16(data),
        17..=128 => up_to_128(data),
        129..=240 => up_to_240(data),
        _ => long(data),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u64 {
    let chunk = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
    u64::from(u32::from_le_bytes(chunk.expect("the caller stays within")))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(
        bytes.get(at..).and_then(<[u8]>::first_chunk).copied().expect("the caller stays within"),
    )
}

fn avalanche(mut hash: u64) -> u64 {
    hash ^= hash >> 37;
    hash = hash.wrapping_mul(PRIME_MX1);
    hash ^ (hash >> 32)
}

fn avalanche64(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(PRIME64_2);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(PRIME64_3);
    hash ^ (hash >> 32)
}

fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ ((product >> 64) as u64)
}

fn mix16(data: &[u8], at: usize, secret_at: usize) -> u64 {
    fold(u64_at(data, at) ^ u64_at(&SECRET, secret_at), u64_at(data, at + 8) ^ u64_at(&SECRET, secret_at + 8))
}

fn up_to_3(data: &[u8]) -> u64 {
    let length = data.len();
    let (first, middle, last) =
        (u64::from(data[0]), u64::from(data[length >> 1]), u64::from(data[length - 1]));
    let combined = (first << 16) | (middle << 24) | last | ((length as u64) << 8);
    avalanche64(combined ^ u32_at(&SECRET, 0) ^ u32_at(&SECRET, 4))
}

fn up_to_8(data: &[u8]) -> u64 {
    let length = data.len();
    let keyed =
        (u32_at(data, length - 4) + (u32_at(data, 0) << 32)) ^ u64_at(&SECRET, 8) ^ u64_at(&SECRET, 16);
    let mut hash = keyed ^ keyed.rotate_left(49) ^ keyed.rotate_left(24);
    hash = hash.wrapping_mul(PRIME_MX2);
    hash ^= (hash >> 35).wrapping_add(length as u64);
    hash = hash.wrapping_mul(PRIME_MX2);
    hash ^ (hash >> 28)
}

fn up_to_16(data: &[u8]) -> u64 {
    let length = data.len();
    let low = u64_at(data, 0) ^ u64_at(&SECRET, 24) ^ u64_at(&SECRET, 32);
    let high = u64_at(data, length - 8) ^ u64_at(&SECRET, 40) ^ u64_at(&SECRET, 48);
    let sum = (length as u64).wrapping_add(low.swap_bytes()).wrapping_add(high).wrapping_add(fold(low, high));
    avalanche(sum)
}

fn up_to_128(data: &[u8]) -> u64 {
    let length = data.len();
    let mut sum = (length as u64).wrapping_mul(PRIME64_1);
    for pair in (0..=(length - 1) / 32).rev() {
        sum = sum.wrapping_add(mix16(data, pair * 16, pair * 32));
        sum = sum.wrapping_add(mix16(data, length - 16 * (pair + 1), pair * 32 + 16));
    }
    avalanche(sum)
}

fn up_to_240(data: &[u8]) -> u64 {
    let length = data.len();
    let first = (0..8).map(|round| mix16(data, round * 16, round * 16));
    let sum = first.fold((length as u64).wrapping_mul(PRIME64_1), u64::wrapping_add);
    let rest = (8..length / 16).map(|round| mix16(data, round * 16, (round - 8) * 16 + 3));
    let sum = rest.fold(avalanche(sum), u64::wrapping_add);
    avalanche(sum.wrapping_add(mix16(data, length - 16, 136 - 17)))
}

fn accumulate(lanes: &mut [u64; 8], stripe: &[u8], secret_at: usize) {
    for lane in 0..8 {
        let value = u64_at(stripe, lane * 8);
        let keyed = value ^ u64_at(&SECRET, secret_at + lane * 8);
        lanes[lane ^ 1] = lanes[lane ^ 1].wrapping_add(value);
        lanes[lane] = lanes[lane].wrapping_add((keyed & 0xffff_ffff).wrapping_mul(keyed >> 32));
    }
}

fn scramble(lanes: &mut [u64; 8], secret_at: usize) {
    for (place, lane) in lanes.iter_mut().enumerate() {
        let mixed = *lane ^ (*lane >> 47) ^ u64_at(&SECRET, secret_at + place * 8);
        *lane = mixed.wrapping_mul(PRIME32_1);
    }
}

fn long(data: &[u8]) -> u64 {
    const SECRET_BYTES: usize = 192;
    const STRIPES_PER_BLOCK: usize = (SECRET_BYTES - STRIPE) / SECRET_STEP;
    let mut lanes = [PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1];
    let blocks = (data.len() - 1) / (STRIPE * STRIPES_PER_BLOCK);
    let stripes = (data.len() - 1) / STRIPE;
    for stripe in 0..stripes {
        let in_block = stripe % STRIPES_PER_BLOCK;
        accumulate(&mut lanes, &data[stripe * STRIPE..], in_block * SECRET_STEP);
        if in_block == STRIPES_PER_BLOCK - 1 && stripe / STRIPES_PER_BLOCK < blocks {
            scramble(&mut lanes, SECRET_BYTES - STRIPE);
        }
    }
    accumulate(&mut lanes, &data[data.len() - STRIPE..], SECRET_BYTES - STRIPE - 7);
    let start = (data.len() as u64).wrapping_mul(PRIME64_1);
    let merged = (0..4).map(|pair| {
        let at = 11 + pair * 16;
        fold(lanes[pair * 2] ^ u64_at(&SECRET, at), lanes[pair * 2 + 1] ^ u64_at(&SECRET, at + 8))
    });
    avalanche(merged.fold(start, u64::wrapping_add))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that another implementation made of these lengths.
    #[test]
    fn hashes_are_those_of_the_specification() {
        for (length, expected) in [
            (0usize, 0x2d06_8005_38d3_94c2u64),
            (1, 0x4c5c_ca45_d0f4_811f),
            (3, 0x15f7_093b_173d_005c),
            (4, 0xdca0_12f9_5811_b6b9),
            (8, 0xdec6_a9a4_3575_982e),
            (9, 0xcbe3_9339_9f17_ffbd),
            (16, 0x7e48_4c18_d748_95d0),
            (17, 0x208b_de5e_e2be_d407),
            (100, 0x8c97_1580_42fb_f926),
            (128, 0xf92b_70ea_a21a_6288),
            (129, 0xf8f7_6713_f2bb_60fa),
            (240, 0xccc7_3751_72c4_1f03),
            (241, 0x0b3b_6309_48ce_4a00),
            (512, 0xefc2_e52d_1c2f_fbaa),
            (1024, 0x23bc_880e_bf0d_29c6),
            (1025, 0xc09f_dfbc_398c_7d82),
            (1088, 0xa16b_ad67_843c_5a45),
            (2048, 0x19f6_f9c9_8733_1373),
            (5000, 0x559f_ff92_c2b7_f8ee),
        ] {
            let data: Vec<u8> = (0..length).map(|place| (place * 31 + 7) as u8).collect();
            assert_eq!(hash(&data), expected, "{length} bytes");
        }
    }
}
