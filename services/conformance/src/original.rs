//! It follows a feed in the wire format of the original shop: no sequences, types, pages or entity
//! tags.

use harness::{Original, Sql};
use serde_json::Value;

use crate::{Subject, documents, open, statuses, without};

pub async fn orders_of_the_original_are_applied<T: Subject<S>, S: Sql>(url: &str) {
    let original = Original::default();
    let feed_url = original.serve().await;
    let mut app = open::<T, S>(url, &feed_url).await;
    app.drain().await;
    assert_eq!(app.json("/").await["count"], 0);

    original.place(7);
    original.place(8);
    app.drain().await;
    let expected: Value = serde_json::from_str(T::ORIGINAL).unwrap();
    let document = without(&app.json("/7").await, T::OF_EVENT);
    assert_eq!(document.to_string(), expected.to_string());
    let both = documents::<T, S>(&app).await;
    assert_eq!(
        (both.len(), &both[0]["id"], &both[1]["id"]),
        (2, &7.into(), &8.into())
    );
    T::check(&both, 2017);

    app.drain().await;
    assert_eq!(documents::<T, S>(&app).await, both);

    original.place(9);
    app.drain().await;
    let all = documents::<T, S>(&app).await;
    assert_eq!((all.len(), &all[2]["status"]), (3, &T::PLACED.into()));
    T::check(&all, 2017);
    assert_eq!(app.json("/").await["count"], 3);
}

pub async fn an_answer_that_is_no_order_is_parked<T: Subject<S>, S: Sql>(url: &str) {
    let original = Original::default();
    original.place(1);
    original.answer(2, "<html><body>Please log in</body></html>");
    original.place(3);
    let mut app = open::<T, S>(url, &original.serve().await).await;
    app.drain().await;
    let expected = [(3, T::PLACED.to_owned()), (1, T::PLACED.to_owned())];
    assert_eq!(statuses::<T, S>(&app).await, expected);
    T::check(&documents::<T, S>(&app).await, 2017);
    assert_eq!(app.status("parked").await, 1);
    let page = app.page("/status").await;
    assert!(
        page.contains("the data is no order: expected value at line 1 column 1"),
        "{page}"
    );
}
