//! The bundled sample case: small files of real formats, made on the spot, so that any tool opens them.
//!
//! tidy: a table. Addresses are of documentation ranges, names end in `.test`; nobody is named.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::cli::{
    fault::CliFault,
    found::{self, disk},
};

/// Makes the sample case anew in this folder.
pub(super) fn make(folder: &Path) -> Result<PathBuf, CliFault> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(disk("remove", folder))?;
    }
    for part in ["", "logs", "mail", "network", "disk", "notes"] {
        found::folder(&folder.join(part))?;
    }
    let files: [(&str, Vec<u8>); 7] = [
        ("logs/access.log", access_log()),
        ("logs/auth log (rotated).1", Vec::new()),
        ("mail/inbox.mbox", mail_box()),
        ("network/vm-1040.pcap", capture()),
        ("disk/vm-1040.img", disk_image()),
        ("notes/примечание.txt", "Проверено при изъятии.\n".into()),
        ("notes/備考.txt", "押収時に確認済み。\n".into()),
    ];
    for (name, bytes) in files {
        found::write(&folder.join(name), &bytes)?;
    }
    let link = folder.join("logs/latest");
    std::os::unix::fs::symlink("access.log", &link).map_err(disk("link", &link))?;
    Ok(folder.to_owned())
}

/// Lines of a web server in the combined format.
fn access_log() -> Vec<u8> {
    let line = |at: u32| {
        let path = ["/", "/panel/login", "/panel/tasks", "/files/payload.bin"][at as usize % 4];
        format!(
            "198.51.100.{} - - [02/Mar/2026:04:{:02}:{:02} +0000] \"POST {path} HTTP/1.1\" 200 {} \"-\" \"agent/2.1\"\n",
            at % 250 + 1,
            at / 60 % 60,
            at % 60,
            512 + at * 37 % 4096
        )
    };
    (0..2_000).map(line).collect::<String>().into_bytes()
}

/// A mail box (RFC 4155).
fn mail_box() -> Vec<u8> {
    let mail = |at: u32| {
        format!(
            "From operator@relay.test Mon Mar  2 04:{at:02}:00 2026\n\
             Date: Mon, 02 Mar 2026 04:{at:02}:00 +0000\nFrom: operator@relay.test\nTo: customer@mail.test\n\
             Subject: invoice {at}\nMessage-ID: <{at}.1040@relay.test>\n\nThe server is paid until the end of March.\n\n"
        )
    };
    (0..40).map(mail).collect::<String>().into_bytes()
}

/// A packet capture: the classic format, Ethernet, one UDP datagram over IPv4 in each packet.
fn capture() -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    for at in 0..400_u32 {
        let packet = datagram(at);
        let len = u32::try_from(packet.len()).expect("a packet is short");
        for word in [1_772_424_600 + at, at * 1_000, len, len] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&packet);
    }
    bytes
}

fn datagram(at: u32) -> Vec<u8> {
    let payload = format!("task {at}: encrypt /srv/share/{}", at % 9);
    let len = u16::try_from(payload.len()).expect("a payload is short");
    let id = u16::try_from(at).expect("few packets").to_be_bytes();
    let mut ip = vec![0x45, 0];
    ip.extend_from_slice(&(len + 28).to_be_bytes());
    ip.extend_from_slice(&id);
    ip.extend_from_slice(&[0, 0, 64, 17, 0, 0, 192, 0, 2, 44, 198, 51, 100, 7]);
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or(u16::MAX);
    ip[10..12].copy_from_slice(&(!folded).to_be_bytes());
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    packet.extend_from_slice(&ip);
    packet.extend_from_slice(&8443_u16.to_be_bytes());
    packet.extend_from_slice(&40_000_u16.to_be_bytes());
    packet.extend_from_slice(&(len + 8).to_be_bytes());
    packet.extend_from_slice(&[0, 0]); // no checksum, as IPv4 allows
    packet.extend_from_slice(payload.as_bytes());
    packet
}

const SECTOR: usize = 512;
const SECTORS: usize = 2_880;

/// A disk image: a FAT12 volume of 1.44 MB with one file in its root folder.
fn disk_image() -> Vec<u8> {
    let mut image = vec![0; SECTORS * SECTOR];
    let boot: [(usize, &[u8]); 9] = [
        (0, &[0xeb, 0x3c, 0x90]),
        (3, b"MSDOS5.0"),
        (11, &[0, 2, 1, 1, 0, 2, 224, 0, 0x40, 0x0b, 0xf0, 9, 0, 18, 0, 2, 0]),
        (38, &[0x29, 0x40, 0x10, 0x26, 0x20]),
        (43, b"VM1040     "),
        (54, b"FAT12   "),
        (510, &[0x55, 0xaa]),
        (SECTOR, &[0xf0, 0xff, 0xff]),
        (10 * SECTOR, &[0xf0, 0xff, 0xff]),
    ];
    for (at, bytes) in boot {
        image[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let text = b"target=/srv/share\r\nkey=none\r\n".repeat(12);
    let root = 19 * SECTOR;
    image[root..root + 11].copy_from_slice(b"CONFIG  INI");
    image[root + 11] = 0x20;
    image[root + 26] = 2; // its first cluster
    image[root + 28..root + 32].copy_from_slice(&u32::try_from(text.len()).expect("short").to_le_bytes());
    // Cluster 2 is the last of its file, in both tables.
    for table in [SECTOR, 10 * SECTOR] {
        image[table + 3..table + 5].copy_from_slice(&[0xff, 0x0f]);
    }
    let data = 33 * SECTOR;
    image[data..data + text.len()].copy_from_slice(&text);
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formats_are_what_they_say() {
        assert_eq!(capture().len(), 24 + (0..400).map(|at| 16 + datagram(at).len()).sum::<usize>());
        assert_eq!(disk_image().len(), 1_474_560);
        let sum = |packet: &[u8]| {
            let words = packet[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
            let sum: u32 = words.sum();
            (sum & 0xffff) + (sum >> 16)
        };
        assert!((0..400).all(|at| sum(&datagram(at)) == 0xffff), "every header adds up");
        assert!(mail_box().starts_with(b"From ") && access_log().ends_with(b"\"agent/2.1\"\n"));
    }
}
