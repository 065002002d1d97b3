// postern/sdk/layout.h: the recorded layouts of what crosses the plugin boundary. When an assertion
// here fails, a layout has moved: raise kAbiNumber in abi.h and record the new sizes.
#pragma once

#include "postern/sdk/abi.h"
#include "postern/sdk/provider.h"
#include "postern/sdk/rate_limit.h"
#include "postern/sdk/settings.h"
#include "postern/sdk/storage.h"

// Recorded for x86-64 with libstdc++ and without its debug mode.
#if defined(__x86_64__) && !defined(_GLIBCXX_DEBUG)
namespace postern::sdk {

static_assert(sizeof(Field) == 144);
static_assert(sizeof(RawSetting) == 72);
static_assert(sizeof(Settings) == 48);
static_assert(sizeof(HttpRequest) == 224);
static_assert(sizeof(HttpResponse) == 96);
static_assert(sizeof(Mailbox) == 64);
static_assert(sizeof(Attachment) == 136);
static_assert(sizeof(OutboundMessage) == 568);
static_assert(sizeof(Attempt) == 56);
static_assert(sizeof(Outcome) == 112);
static_assert(sizeof(Capabilities) == 32);
static_assert(sizeof(Validation) == 40);
static_assert(sizeof(HookRequest) == 176);
static_assert(sizeof(ProviderEvent) == 248);
static_assert(sizeof(HookResult) == 64);
static_assert(sizeof(ProviderAccount) == 192);
static_assert(sizeof(BucketRequest) == 56);
static_assert(sizeof(BucketAnswer) == 24);
static_assert(sizeof(StorageError) == 56);
static_assert(sizeof(StorageOptions) == 56);
static_assert(sizeof(Document) == 200);
static_assert(sizeof(DocumentQuery) == 112);
static_assert(sizeof(DocumentChange) == 112);
static_assert(sizeof(MessageRecord) == 432);
static_assert(sizeof(RecipientRecord) == 152);
static_assert(sizeof(EventRecord) == 216);
static_assert(sizeof(WorkItem) == 192);
static_assert(sizeof(Lease) == 48);
static_assert(sizeof(LeasedWork) == 248);
static_assert(sizeof(LeaseRequest) == 88);
static_assert(sizeof(PutDocument) == 216);
static_assert(sizeof(DeleteDocument) == 112);
static_assert(sizeof(ClaimIdempotency) == 136);
static_assert(sizeof(EnqueueMessage) == 744);
static_assert(sizeof(UpdateMessage) == 184);
static_assert(sizeof(AppendEvent) == 216);
static_assert(sizeof(PutWork) == 240);
static_assert(sizeof(FinishWork) == 56);
static_assert(sizeof(RescheduleWork) == 152);
static_assert(sizeof(RenewLease) == 56);
static_assert(sizeof(AddMetrics) == 216);
static_assert(sizeof(Op) == 752);
static_assert(sizeof(UnitResult) == 96);
static_assert(sizeof(MessageDetail) == 480);
static_assert(sizeof(StoredMessage) == 472);
static_assert(sizeof(MessageQuery) == 248);
static_assert(sizeof(MessagePage) == 32);
static_assert(sizeof(MetricQuery) == 48);
static_assert(sizeof(MetricRow) == 152);
static_assert(sizeof(LaneDepth) == 88);
static_assert(sizeof(WorkQuery) == 112);
static_assert(sizeof(WorkRow) == 248);
static_assert(sizeof(PurgeRequest) == 136);
static_assert(sizeof(PurgeResult) == 16);
static_assert(sizeof(IterateResult) == 56);

}  // namespace postern::sdk
#endif
