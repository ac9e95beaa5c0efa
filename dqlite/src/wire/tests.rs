//! Messages there and back, in pieces, and bytes that are none.

use finalite::workspace::{RemoteCell, RemoteParam};

use super::*;

/// A message of an answer.
fn message(kind: u8, schema: u8, body: &[u8]) -> Vec<u8> {
    let words = u32::try_from(body.len() / WORD).unwrap();
    [&words.to_le_bytes()[..], &[kind, schema, 0, 0], body].concat()
}

fn words(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(WORD), 0);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    padded(&[text.as_bytes(), &[0]].concat())
}

/// A batch with one row of each type.
fn batch(end: u64) -> Vec<u8> {
    let names = ["a", "long name", "", "d", "e", "f", "g", "h"].map(text).concat();
    let row = [
        padded(&[0x21, 0x43, 0x95, 0xba]),
        words(&[7, 1.5_f64.to_bits()]),
        text("seven"),
        words(&[3]),
        padded(&[1, 2, 3]),
        words(&[0, 1_700_000_000]),
        text("2026-11-30"),
        words(&[1]),
    ];
    [words(&[8]), names, row.concat(), words(&[end])].concat()
}

fn sound_messages() -> Vec<Vec<u8>> {
    let member = |id: u64| [words(&[id]), text("127.0.0.1:9201"), words(&[id % 3])].concat();
    let file = |name: &str| [text(name), words(&[5]), padded(b"bytes")].concat();
    vec![
        message(answer::FAILURE, 0, &[words(&[1555]), text("UNIQUE constraint failed: t.id")].concat()),
        message(answer::SERVER, 0, &[words(&[1]), text("127.0.0.1:9201")].concat()),
        message(answer::WELCOME, 0, &words(&[15_000])),
        message(answer::SERVERS, 0, &[words(&[2]), member(1), member(2)].concat()),
        message(answer::DB, 0, &words(&[0])),
        message(answer::STMT, 0, &words(&[3 << 32, 2])),
        message(answer::STMT, 1, &words(&[4 << 32, 300, 9])),
        message(answer::RESULT, 0, &words(&[u64::MAX, 2])),
        message(answer::ROWS, 0, &batch(u64::MAX)),
        message(answer::EMPTY, 0, &words(&[0])),
        message(answer::FILES, 0, &[words(&[2]), file("app"), file("app-wal")].concat()),
        message(answer::METADATA, 0, &words(&[0, 0])),
    ]
}

/// Feeds bytes in pieces of this size, and returns the messages.
fn receive(bytes: &[u8], piece: usize) -> Vec<(Header, Vec<u8>)> {
    let (mut incoming, mut found, mut body) = (Incoming::new(1 << 20), Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        let mut rest = piece;
        while !rest.is_empty() {
            let space = incoming.space();
            let taken = space.len().min(rest.len());
            space[..taken].copy_from_slice(&rest[..taken]);
            incoming.arrived(taken);
            rest = &rest[taken..];
        }
        while let Some(header) = incoming.next(&mut body).unwrap() {
            found.push((header, body.clone()));
        }
    }
    assert!(!incoming.is_within_message());
    found
}

#[test]
fn a_request_is_the_bytes_of_the_protocol() {
    let mut out = Vec::new();
    Request::Leader.encode(Schema::V0, &mut out).unwrap();
    assert_eq!(out, message(0, 0, &words(&[0])));
    out.clear();
    Request::Open { name: "database" }.encode(Schema::V0, &mut out).unwrap();
    assert_eq!(out, message(3, 0, &[text("database"), words(&[0]), text("")].concat()));
    out.clear();
    Request::Finalize { statement: 5 }.encode(Schema::V1, &mut out).unwrap();
    assert_eq!(out, message(7, 0, &words(&[5 << 32])));
    out.clear();
    let params = [
        RemoteParam::Integer(-1),
        RemoteParam::Null,
        RemoteParam::Real(0.5),
        RemoteParam::Text("größe".into()),
        RemoteParam::Blob((&[1, 2, 3][..]).into()),
        RemoteParam::ZeroBlob(9),
    ];
    let head = padded(&[6, 1, 5, 2, 3, 4, 4]);
    let values = [
        words(&[u64::MAX, 0, 0.5_f64.to_bits()]),
        text("größe"),
        words(&[3]),
        padded(&[1, 2, 3]),
        words(&[9]),
        vec![0; 16],
    ];
    Request::Exec { statement: 1, params: &params }.encode(Schema::V1, &mut out).unwrap();
    assert_eq!(out, message(5, 0, &[words(&[1 << 32]), head, values.concat()].concat()));
}

#[test]
fn parameters_beyond_a_byte_need_the_newer_form() {
    let params = vec![RemoteParam::Integer(1); 256];
    let mut out = vec![9];
    let request = Request::QuerySql { sql: "SELECT 1", params: &params };
    assert_eq!(request.encode(Schema::V0, &mut out), Err(EncodeError::TooManyParameters));
    assert_eq!(out, [9]);
    request.encode(Schema::V1, &mut out).unwrap();
    assert_eq!(out[1 + 5], 1);
    let nul = [RemoteParam::Null, RemoteParam::Text("a\0b".into())];
    let request = Request::ExecSql { sql: "SELECT 1", params: &nul };
    assert_eq!(request.encode(Schema::V1, &mut Vec::new()), Err(EncodeError::Nul { parameter: 2 }));
    let huge = [RemoteParam::ZeroBlob(u64::MAX)];
    let request = Request::ExecSql { sql: "SELECT 1", params: &huge };
    assert_eq!(request.encode(Schema::V1, &mut Vec::new()), Err(EncodeError::TooLong));
}

#[test]
fn answers_are_read() {
    let read = |bytes: &[u8]| {
        let (header, body) = receive(bytes, bytes.len()).remove(0);
        Answer::read(header, &body)
    };
    let answers: Vec<_> = sound_messages().iter().map(|bytes| read(bytes)).collect();
    let member = |id| Member { id, address: "127.0.0.1:9201".into(), role: id % 3 };
    let failure = Failure { code: 1555, message: "UNIQUE constraint failed: t.id".into() };
    assert_eq!(answers[0], Ok(Answer::Failure(failure)));
    assert_eq!(answers[1], Ok(Answer::Server(Member { role: 0, ..member(1) })));
    assert_eq!(answers[3], Ok(Answer::Servers(vec![member(1), member(2)])));
    assert_eq!(answers[5], Ok(Answer::Stmt(Prepared { id: 3, parameters: 2, is_newer: false, tail: 0 })));
    assert_eq!(answers[6], Ok(Answer::Stmt(Prepared { id: 4, parameters: 300, is_newer: true, tail: 9 })));
    assert_eq!(answers[7], Ok(Answer::Result { last_insert_rowid: -1, changes: 2 }));
    assert!(answers[8].is_err(), "rows are read by a batch");
    let file = |name: &str| Dumped { name: name.into(), bytes: b"bytes".to_vec() };
    assert_eq!(answers[10], Ok(Answer::Files(vec![file("app"), file("app-wal")])));
}

#[test]
fn rows_are_read() {
    let body = batch(0xeeee_eeee_eeee_eeee);
    let (mut rows, names) = Batch::begin(&body).unwrap();
    assert_eq!(names, ["a", "long name", "", "d", "e", "f", "g", "h"]);
    let mut cells = Vec::new();
    assert_eq!(rows.next(&body, &mut cells), Ok(Step::Row));
    let shown: Vec<String> = cells
        .iter()
        .map(|cell| match cell {
            RemoteCell::Text(range) => String::from_utf8_lossy(&body[range.clone()]).into_owned(),
            RemoteCell::Blob(range) => format!("{:?}", &body[range.clone()]),
            other => format!("{other:?}"),
        })
        .collect();
    let expected =
        ["Integer(7)", "Real(1.5)", "seven", "[1, 2, 3]", "Null", "Integer(1700000000)", "2026-11-30", "Integer(1)"];
    assert_eq!(shown, expected);
    assert_eq!(rows.next(&body, &mut cells), Ok(Step::More));
    assert_eq!(ends_rows(&body), Ok(false));
    assert_eq!(ends_rows(&batch(u64::MAX)), Ok(true));
    assert!(ends_rows(&batch(0)).is_err());

    // A statement that has changed something has no columns, and no rows.
    let none = words(&[0, u64::MAX]);
    let (mut rows, names) = Batch::begin(&none).unwrap();
    assert!(names.is_empty());
    assert_eq!(rows.next(&none, &mut cells), Ok(Step::Done));
    let endless = words(&[0, 0, 0, u64::MAX]);
    let (mut rows, _) = Batch::begin(&endless).unwrap();
    assert!(rows.next(&endless, &mut cells).is_err(), "rows without columns");
}

#[test]
fn messages_arrive_in_any_pieces() {
    let all = sound_messages().concat();
    let whole = receive(&all, all.len());
    assert_eq!(whole.len(), sound_messages().len());
    for piece in 1..200 {
        assert!(receive(&all, piece) == whole, "pieces of {piece} bytes");
    }
    let large = message(answer::ROWS, 0, &vec![7; 400_000]);
    for piece in [1000, 8192, 65_536] {
        assert!(receive(&[&all[..], &large, &all].concat(), piece).len() == 2 * whole.len() + 1);
    }
}

/// Memory is taken for bytes that have arrived.
#[test]
fn a_length_alone_takes_no_memory() {
    let mut incoming = Incoming::new(usize::MAX);
    let header = [0xff, 0xff, 0xff, 0xff, answer::ROWS, 0, 0, 0];
    incoming.space()[..8].copy_from_slice(&header);
    incoming.arrived(8);
    assert_eq!(incoming.next(&mut Vec::new()), Ok(None));
    assert!(incoming.space().len() < 100_000);
    let mut incoming = Incoming::new(1 << 20);
    incoming.space()[..8].copy_from_slice(&header);
    incoming.arrived(8);
    assert!(incoming.next(&mut Vec::new()).is_err());

    // Numbers of things of which none are there.
    for kind in [answer::SERVERS, answer::FILES] {
        assert!(Answer::read(Header { kind, schema: 0 }, &words(&[u64::MAX])).is_err());
    }
    assert!(Batch::begin(&words(&[u64::MAX])).is_err());
    let blob = [words(&[1]), text("a"), padded(&[4]), words(&[u64::MAX - 3])].concat();
    let (mut rows, _) = Batch::begin(&blob).unwrap();
    assert!(rows.next(&blob, &mut Vec::new()).is_err());
}

/// Reads whatever it is given to its end.
fn read_all(bytes: &[u8]) -> usize {
    let (mut incoming, mut body, mut cells, mut steps) = (Incoming::new(1 << 20), Vec::new(), Vec::new(), 0);
    for piece in bytes.chunks(1000) {
        incoming.space()[..piece.len()].copy_from_slice(piece);
        incoming.arrived(piece.len());
        while let Ok(Some(header)) = incoming.next(&mut body) {
            steps += usize::from(Answer::read(header, &body).is_ok());
            let Ok((mut rows, _)) = Batch::begin(&body) else { continue };
            while let Ok(Step::Row) = rows.next(&body, &mut cells) {
                steps += 1;
                assert!(steps <= bytes.len(), "rows out of nothing");
            }
        }
    }
    steps
}

#[test]
fn bytes_that_are_no_message_are_an_error() {
    let sound = sound_messages();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    assert!(read_all(&sound.concat()) >= sound.len());
    for _ in 0..5_000 {
        let pick = |number: u64, of: usize| usize::try_from(number % of as u64).unwrap();
        let mut bytes = sound[pick(next(), sound.len())].clone();
        for _ in 0..=next() % 4 {
            let at = pick(next(), bytes.len());
            bytes[at] = u8::try_from(next() % 256).unwrap();
        }
        bytes.truncate(pick(next(), bytes.len()) + 1);
        read_all(&bytes);
        let noise: Vec<u8> = (0..next() % 100).map(|_| u8::try_from(next() % 256).unwrap()).collect();
        read_all(&message(pick(next(), 12) as u8, 0, &padded(&noise)));
    }
}
