//! The bytes of a node's own files ([F-1] to [F-5]), put together once more from the clauses alone.

use super::{
    judge::{Codes, Verdict, out},
    material::Material,
    shapes::Input,
};
use crate::{
    crypto::{DataKey, sha256},
    ids::hex,
};

pub(super) fn judge(m: &Material, input: &Input) -> Verdict {
    match input {
        Input::LogFrame { kind, payload } => {
            let payload = m.bytes(payload);
            let length = u32::try_from(payload.len()).expect("short").to_le_bytes();
            let sum = crc32c(&[&length[..], &[*kind], &payload].concat()).to_le_bytes();
            out([("frame", hex(&[&length[..], &sum, &[*kind], &payload].concat()))])
        }
        Input::SegmentHead { number, size, mark } => {
            let parts = [&b"comitylg"[..], &1_u32.to_le_bytes(), &number.to_le_bytes(), &size.to_le_bytes()].concat();
            let mut head = [parts, m.bytes(mark)].concat();
            head.resize(60, 0);
            let sum = crc32c(&head).to_le_bytes();
            out([("head", hex(&[&head[..], &sum].concat()))])
        }
        Input::Running { before, frames, size, root } => {
            let [before, frames, root] = [before, frames, root].map(|part| m.bytes(part));
            out([("running", sha256(&[&before, &frames, &size.to_le_bytes(), &root]).to_string())])
        }
        Input::OpenPart { key, kind, slot, index, part, stored } => {
            let stored = m.bytes(stored);
            let (nonce, sealed) = stored.split_first_chunk::<12>().ok_or(Codes("crypto.does-not-open", None))?;
            let numbers = [&kind.to_be_bytes()[..], &slot.to_be_bytes(), &index.to_be_bytes()].concat();
            let opened = DataKey::new(m.array(key)).open(*nonce, &[&numbers, part.as_bytes()].concat(), sealed)?;
            out([("part", hex(&opened))])
        }
        Input::KeySlot { kek, generation, slot, request, nonce, proof, content } => {
            let [request, proof, content] = [request, proof, content].map(|part| m.bytes(part));
            let number = [slot.to_be_bytes(), generation.to_be_bytes()];
            let binding = [b"comity slot v1\0", &number[0][..], &request, &number[1]].concat();
            let (nonce, keys) = (m.array(nonce), [proof, content].concat());
            let wrapped = DataKey::new(m.array(kek)).seal(nonce, &binding, &keys);
            let bytes = [&[1, 1], &request[..], &nonce, &wrapped, &generation.to_le_bytes(), &[0; 10]].concat();
            let sum = crc32c(&bytes).to_le_bytes();
            out([("slot", hex(&[&bytes[..], &sum].concat()))])
        }
        Input::SlotPromise { generation } => {
            let bytes = [&[1, 3], &[0; 108][..], &generation.to_le_bytes(), &[0; 10]].concat();
            let sum = crc32c(&bytes).to_le_bytes();
            out([("slot", hex(&[&bytes[..], &sum].concat()))])
        }
        _ => unreachable!("sorted by judge"),
    }
}

/// CRC-32C (Castagnoli), bit by bit.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum: u32, _| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg()))
    })
}
