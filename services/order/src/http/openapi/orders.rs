//! Orders: the list, one of them, a new one, a cancellation.

use feed_chassis::list;
use feed_chassis::openapi::{Answer, Description, Fields, Operation, Parameter, Schema};
use serde_json::json;

use super::common::{NO_PARAMETERS, same_origin, searched};
use crate::http::context::MAX_KEY;
use crate::http::pages::FILTERS;
use crate::order::OrderId;
use crate::representation::{OrderDocument, SummaryDocument};
use crate::rules::Draft;

pub(super) fn description() -> Description {
    let orders = [
        list(),
        place(),
        submit(),
        show(),
        delete(),
        confirm(),
        cancel(),
    ];
    Description::of("Orders", "What was ordered, and by whom", orders)
}

fn list() -> Operation {
    let list = Operation::get("/", "orders", "The orders, newest first");
    let about = "Only the order with this number; or those with each of these words in the customer's name or \
                 e-mail address, in any order and any case";
    let list = searched(list, about);
    let list = FILTERS.iter().copied().fold(list, list::describe_filter);
    list::describe::<SummaryDocument<'_>>(list, "orders")
}

fn place() -> Operation {
    let key = json!({"type": "string", "minLength": 1, "maxLength": MAX_KEY});
    let key = Parameter::header(
        "Idempotency-Key",
        "A name for this request. Sent again with the same body, it places no second order, and \
         answers with the first one",
        Schema::literal(key),
    );
    let placed = Answer::new(201, "The order is placed")
        .header("Location", "The order")
        .json(Schema::of::<OrderDocument<'_>>());
    let place = Operation::post("/orders", "place", "Place an order")
        .parameter(key)
        .parameter(traceparent())
        .json(Schema::of::<Draft>())
        .answer(placed)
        .problem(
            400,
            "The body is not JSON, the `Idempotency-Key` is invalid, or there is a parameter",
        )
        .problem(
            422,
            "The order breaks rules, or the key was used for another one",
        );
    same_origin(place)
}

fn submit() -> Operation {
    let fields = [
        "customer",
        "shippingAddress.street",
        "shippingAddress.zip",
        "shippingAddress.city",
        "billingAddress.street",
        "billingAddress.zip",
        "billingAddress.city",
        "orderLine[0].item",
        "orderLine[0].count",
    ];
    let form = fields.into_iter().fold(Fields::new(), |form, name| {
        form.required(name, Schema::text())
    });
    let key = "Names the form, so that it places one order, however often it is sent";
    let placed = Answer::new(303, "The order is placed").header("Location", "The order");
    let submit = Operation::post("/", "submit", "Place an order by the form")
        .about("What the page `form.html` sends: the fields of `POST /orders`, by their paths. Behind the number of the \
             customer or an item there may be a blank and what the form showed of it, such as `1 iPod, 42.00 EUR`: if \
             that was changed since, the form is shown again.")
        .parameter(traceparent())
        .form(form.optional("key", Schema::text().about(key)))
        .answer(placed)
        .answer(
            Answer::new(
                409,
                "The form again: it was sent before, with something else",
            )
            .html(),
        )
        .answer(Answer::new(422, "The form again, with what is wrong").html());
    same_origin(submit)
}

fn show() -> Operation {
    let order = Answer::new(200, "The order")
        .json(Schema::of::<OrderDocument<'_>>())
        .content("application/hal+json", Schema::of::<OrderDocument<'_>>())
        .html();
    Operation::get("/order/{id}", "order", "The order as it is now")
        .parameter(id())
        .answer(order)
        .conditional()
        .problem(400, NO_PARAMETERS)
        .problem(404, "There is no such order")
}

fn delete() -> Operation {
    let cancelled = Answer::new(200, "The order is cancelled, or was before")
        .json(Schema::of::<OrderDocument<'_>>());
    change(Operation::delete(
        "/order/{id}",
        "delete",
        "Cancel an order",
    ))
    .about("The order stays, as a cancelled one. Cancelling it again publishes no second event.")
    .answer(cancelled)
}

fn confirm() -> Operation {
    let page = Answer::new(200, "The page that asks, for people").html();
    Operation::get(
        "/order/{id}/cancel",
        "confirm",
        "Ask whether an order must be cancelled",
    )
    .parameter(id())
    .answer(page)
    .problem(400, NO_PARAMETERS)
    .problem(404, "There is no such order")
}

fn cancel() -> Operation {
    let cancelled =
        Answer::new(303, "The order is cancelled, or was before").header("Location", "The order");
    change(Operation::post(
        "/order/{id}/cancel",
        "cancel",
        "Cancel an order by its page",
    ))
    .answer(cancelled)
}

fn change(operation: Operation) -> Operation {
    same_origin(operation)
        .parameter(id())
        .parameter(traceparent())
        .guarded()
        .problem(400, NO_PARAMETERS)
        .problem(404, "There is no such order")
}

fn id() -> Parameter {
    Parameter::path("id", "The number of the order", Schema::of::<OrderId>())
}

fn traceparent() -> Parameter {
    Parameter::header(
        "traceparent",
        "The W3C trace context: it is stored in the event and passed on to its consumers",
        Schema::text(),
    )
}
