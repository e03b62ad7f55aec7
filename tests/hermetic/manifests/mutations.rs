//! Manifests with randomly changed bytes: the reader answers, and soon.

use std::time::{Duration, Instant};

use seatrial::manifest::Manifest;

use super::MYSQL;

const SEEDS: [&str; 6] = [
    MYSQL,
    include_str!("../fixtures/manifests/keys.yaml"),
    include_str!("../fixtures/manifests/nulls.yaml"),
    include_str!("../fixtures/manifests/two.json"),
    include_str!("../fixtures/manifests/surrogates.json"),
    "a: &a [1, {b: *a}]\n<<: {c: !!int 3}\n? x\n: |2\n   t\n--- >-\n t\n...\n%YAML 1.1\n---\n'k''k': \"\\u00e4\\n\"\n",
];
/// Characters with a meaning in YAML or JSON.
const PIECES: &[u8] = b"{}[]:,-?&*!|>'\"%@`#~<= \t\r\n0x.eE+\\u\xEF\xBB\xBF\xFF\x00";

#[test]
fn mutated_manifests_never_panic_and_end() {
    let mut random = fastrand::Rng::with_seed(16);
    let began = Instant::now();
    for round in 0..6000 {
        let mut bytes = SEEDS[round % SEEDS.len()].as_bytes().to_vec();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(0..bytes.len());
            match random.u8(0..5) {
                0 => bytes[at] = random.u8(..),
                1 => bytes[at] = PIECES[random.usize(0..PIECES.len())],
                2 => bytes.insert(at, PIECES[random.usize(0..PIECES.len())]),
                3 => drop(bytes.drain(at..(at + random.usize(1..20)).min(bytes.len()))),
                _ => {
                    let piece = bytes[at..(at + 40).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
            if bytes.is_empty() {
                bytes.push(b'a');
            }
        }
        told(&bytes);
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn random_bytes_never_panic() {
    let mut random = fastrand::Rng::with_seed(61);
    for _ in 0..3000 {
        let length = random.usize(0..200);
        told(&(0..length).map(|_| PIECES[random.usize(0..PIECES.len())]).collect::<Vec<u8>>());
        told(&(0..length).map(|_| random.u8(..)).collect::<Vec<u8>>());
    }
}

/// Reads the text. The error is at most one line.
fn told(bytes: &[u8]) {
    if let Err(error) = Manifest::read_bytes("f.yaml", bytes) {
        assert!(!error.to_string().is_empty());
    }
}
