//! Every shape of message, read strictly.

use comity_core::{
    proto::{
        Answer, Ask, Body, CasePart, Charter, Context, Custody, Delivery, Envelope, Grant, Header, ItemKeys, Manifest,
        NodePart, Profile, RecordProof, Refusal, SealedBody, Slip,
    },
    wire::{MANIFEST_MAX, WireFault, strict},
};
use prost::Message;

/// What is accepted is the one encoding of its content.
pub(crate) fn wire(data: &[u8]) {
    let Some((shape, bytes)) = data.split_first() else { return };
    let readers: [fn(&[u8]); 19] = [
        read::<Slip>,
        read::<Header>,
        read::<Envelope>,
        read::<Delivery>,
        read::<Answer>,
        read::<Refusal>,
        read::<RecordProof>,
        read::<Context>,
        read::<SealedBody>,
        read::<Body>,
        read::<Charter>,
        read::<Profile>,
        read::<Manifest>,
        read::<Custody>,
        read::<Ask>,
        read::<Grant>,
        read::<ItemKeys>,
        read::<NodePart>,
        read::<CasePart>,
    ];
    readers[usize::from(*shape) % readers.len()](bytes);
}

fn read<M: Message + Default>(bytes: &[u8]) {
    match strict::<M>(bytes, MANIFEST_MAX) {
        Ok(message) => {
            assert_eq!(message.encode_to_vec(), bytes, "accepted bytes are the encoding of their content");
            assert_eq!(strict::<M>(bytes, bytes.len()).err(), None);
            if let Some(less) = bytes.len().checked_sub(1) {
                assert_eq!(strict::<M>(bytes, less).err(), Some(WireFault::TooLarge));
            }
        }
        // What decodes at all is accepted in its canonical encoding.
        Err(WireFault::NotCanonical) => {
            let again = M::decode(bytes).expect("it decoded").encode_to_vec();
            assert_eq!(strict::<M>(&again, MANIFEST_MAX).err(), None);
        }
        Err(WireFault::Undecodable | WireFault::TooLarge) => {}
    }
}
