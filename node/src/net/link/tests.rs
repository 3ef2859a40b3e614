//! Both tasks of a link over an in-memory stream, with honest and dishonest ends.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    task::JoinHandle,
};

use super::*;

fn arvia() -> PartyCode {
    PartyCode::parse("XA").expect("code")
}

fn facts() -> Facts {
    let connection = ConnectionId::new_unchecked(1);
    Facts { party: arvia(), connection, peer: String::new(), address: String::new(), hybrid: true }
}

/// An author towards Arvia over one end of a stream.
struct Sender {
    roads: Arc<Roads>,
    events: mpsc::Receiver<NetEvent>,
    _stop: oneshot::Sender<LinkEnd>,
    task: JoinHandle<Ended>,
}

async fn sender(stream: DuplexStream) -> Sender {
    let (events, mut events_out) = mpsc::channel(1);
    let (stop, stopped) = oneshot::channel();
    let roads = Arc::new(Roads::default());
    let task = tokio::spawn({
        let roads = Arc::clone(&roads);
        async move { author(stream, facts(), &roads, events, stopped).await }
    });
    assert!(matches!(events_out.recv().await, Some(NetEvent::Up { hybrid: true, .. })));
    Sender { roads, events: events_out, _stop: stop, task }
}

/// A recipient of Arvia's deliveries over the other end.
struct Receiver {
    events: mpsc::Receiver<NetEvent>,
    stop: oneshot::Sender<LinkEnd>,
    task: JoinHandle<Ended>,
}

fn receiver(stream: DuplexStream) -> Receiver {
    let (events, events_out) = mpsc::channel(WINDOW * 2);
    let (stop, stopped) = oneshot::channel();
    let task =
        tokio::spawn(recipient(stream, facts(), 0, (Window::new(), Deliveries::new(Instant::now())), events, stopped));
    Receiver { events: events_out, stop, task }
}

impl Receiver {
    async fn delivery(&mut self) -> (Vec<u8>, Reply) {
        match self.events.recv().await {
            Some(NetEvent::Delivery { frame, reply, .. }) => (frame, reply),
            other => panic!("expected a delivery, got {other:?}"),
        }
    }

    /// Takes deliveries until none comes although the reader had every chance.
    async fn drain(&mut self) -> Vec<(Vec<u8>, Reply)> {
        let mut all = Vec::new();
        while let Ok(Some(event)) = timeout(Duration::from_secs(1), self.events.recv()).await {
            let NetEvent::Delivery { frame, reply, .. } = event else { panic!("expected a delivery, got {event:?}") };
            all.push((frame, reply));
        }
        all
    }
}

async fn put(stream: &mut DuplexStream, number: u64, body: &[u8]) {
    stream.write_u32(u32::try_from(body.len()).expect("small")).await.expect("written");
    stream.write_u64(number).await.expect("written");
    stream.write_all(body).await.expect("written");
}

#[tokio::test(start_paused = true)]
async fn answers_may_come_in_any_order() {
    let (near, far) = duplex(4096);
    let (mut sender, mut receiver) = (sender(near).await, receiver(far));
    for n in 0..10_u8 {
        sender.roads.send(&arvia(), vec![n; 3], false).expect("taken");
    }
    let mut held = Vec::new();
    for n in 0..10_u8 {
        let (frame, reply) = receiver.delivery().await;
        assert_eq!(frame, [n; 3]);
        held.push((n, reply));
    }
    for (n, reply) in held.into_iter().rev() {
        reply.send(vec![n]).expect("taken");
        match sender.events.recv().await {
            Some(NetEvent::Answer { frame, .. }) => assert_eq!(frame, [n]),
            other => panic!("expected an answer, got {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_reply_frees_both_windows() {
    let (near, far) = duplex(4096);
    let (mut sender, mut receiver) = (sender(near).await, receiver(far));
    for _ in 0..3 * WINDOW {
        sender.roads.send(&arvia(), vec![1], false).expect("taken");
        drop(receiver.delivery().await);
        assert!(matches!(sender.events.recv().await, Some(NetEvent::Unanswered { .. })));
    }
    sender.roads.send(&arvia(), vec![1], false).expect("taken");
    let (_, reply) = receiver.delivery().await;
    assert_eq!(reply.send(vec![0; ANSWER_MAX + 1]), Err(SendFault::TooLarge));
    assert!(matches!(sender.events.recv().await, Some(NetEvent::Unanswered { .. })), "the peer is told none comes");
}

#[tokio::test(start_paused = true)]
async fn a_full_window_refuses_politely_and_keeps_room_for_urgent_frames() {
    let (near, far) = duplex(4096);
    let (mut sender, mut receiver) = (sender(near).await, receiver(far));
    let mut taken = 0;
    while sender.roads.send(&arvia(), vec![1], false).is_ok() {
        taken += 1;
    }
    assert!(taken < WINDOW);
    assert_eq!(sender.roads.send(&arvia(), vec![1], false), Err(SendFault::Full));
    sender.roads.send(&arvia(), vec![2], true).expect("urgent places are kept");
    let got = receiver.drain().await;
    assert_eq!(got.len(), taken + 1);
    assert_eq!(got[0].0, [2], "the writer had not begun, so the urgent frame goes first");
    drop(got);
    for _ in 0..=taken {
        assert!(matches!(sender.events.recv().await, Some(NetEvent::Unanswered { .. })));
    }
    sender.roads.send(&arvia(), vec![1], false).expect("room again");
    for bad in [vec![], vec![0; DELIVERY_MAX + 1]] {
        assert_eq!(sender.roads.send(&arvia(), bad, true), Err(SendFault::TooLarge));
    }
    let belmar = PartyCode::parse("XB").expect("code");
    assert_eq!(sender.roads.send(&belmar, vec![1], false), Err(SendFault::NotConnected));
}

#[tokio::test(start_paused = true)]
async fn an_author_that_ignores_the_window_is_not_read() {
    let (mut near, far) = duplex(1 << 10);
    let mut receiver = receiver(far);
    let flood = tokio::spawn(async move {
        for number in 1..=2 * WINDOW as u64 {
            put(&mut near, number, &[7; 100]).await;
        }
        near
    });
    let mut held = receiver.drain().await;
    assert_eq!(held.len(), WINDOW, "read no further than the window");
    held.pop();
    assert_eq!(receiver.drain().await.len(), 1, "one place, one more");
    flood.abort();

    let (mut near, far) = duplex(1 << 10);
    let mut receiver = self::receiver(far);
    let flood = tokio::spawn(async move {
        for number in 1..=20 {
            put(&mut near, number, &vec![7; DELIVERY_MAX]).await;
        }
    });
    assert_eq!(receiver.drain().await.len(), super::super::WINDOW_BYTES / DELIVERY_MAX);
    flood.abort();
}

async fn check_recipient(frames: &[(u64, usize)], expected: LinkEnd) {
    let (mut near, far) = duplex(1 << 10);
    let mut receiver = receiver(far);
    for (number, len) in frames {
        put(&mut near, *number, &vec![0; *len]).await;
    }
    near.shutdown().await.expect("shut");
    while receiver.events.recv().await.is_some() {}
    assert_eq!(receiver.task.await.expect("no panic").why, expected);
}

#[tokio::test(start_paused = true)]
async fn a_recipient_names_what_an_author_does_wrong() {
    check_recipient(&[(1, 1), (2, 5)], LinkEnd::Closed).await;
    check_recipient(&[(1, 1), (3, 1)], LinkEnd::OutOfStep).await;
    check_recipient(&[(1, 1), (1, 1)], LinkEnd::OutOfStep).await;
    check_recipient(&[(0, 1)], LinkEnd::OutOfStep).await;
    check_recipient(&[(1, 0)], LinkEnd::BadLength).await;
    let (mut near, far) = duplex(1 << 10);
    let receiver = receiver(far);
    near.write_u32(u32::try_from(DELIVERY_MAX + 1).expect("small")).await.expect("written");
    near.write_u64(1).await.expect("written");
    assert_eq!(receiver.task.await.expect("no panic").why, LinkEnd::BadLength, "no byte of it was needed");
}

async fn check_author(answers: &[(u64, usize)], expected: LinkEnd) {
    let (near, mut far) = duplex(1 << 20);
    let mut sender = sender(near).await;
    for _ in 0..2 {
        sender.roads.send(&arvia(), vec![1], false).expect("taken");
    }
    far.read_exact(&mut [0; 2 * (12 + 1)]).await.expect("two deliveries");
    for (number, len) in answers {
        put(&mut far, *number, &vec![0; *len]).await;
    }
    let mut last = None;
    while let Some(event) = sender.events.recv().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(NetEvent::Down { why, .. }) if why == expected.code()), "{last:?}");
    assert_eq!(sender.roads.send(&arvia(), vec![1], false), Err(SendFault::NotConnected));
    assert_eq!(sender.task.await.expect("no panic").why, expected);
}

#[tokio::test(start_paused = true)]
async fn an_author_names_what_a_recipient_does_wrong() {
    check_author(&[(1, 1), (1, 1)], LinkEnd::Unasked).await;
    check_author(&[(3, 1)], LinkEnd::Unasked).await;
    check_author(&[(2, 1), (1, ANSWER_MAX + 1)], LinkEnd::BadLength).await;
    // Never an answer, though the stream stays open.
    check_author(&[], LinkEnd::Stalled).await;
    check_author(&[(2, 1)], LinkEnd::Stalled).await;
}

#[tokio::test(start_paused = true)]
async fn a_told_stop_is_the_reason_given() {
    let (_near, far) = duplex(64);
    let receiver = receiver(far);
    receiver.stop.send(LinkEnd::Removed).expect("running");
    assert_eq!(receiver.task.await.expect("no panic").why, LinkEnd::Removed);
}
