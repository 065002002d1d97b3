// GMime parses what compose() wrote; everything must come back.
#include <gmime/gmime.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/bytes.h"
#include "mail/sample_drafts.h"

namespace postern::mail {
namespace {

struct Unref {
  void operator()(void* object) const { g_object_unref(object); }
};
using Message = std::unique_ptr<GMimeMessage, Unref>;

std::string text_of(const char* text) {
  return text == nullptr ? std::string{} : text;
}

Message parse(const std::string& mime) {
  static const bool ready = [] {
    g_mime_init();
    return true;
  }();
  EXPECT_TRUE(ready);
  const std::unique_ptr<GMimeStream, Unref> stream(
      g_mime_stream_mem_new_with_buffer(mime.data(), mime.size()));
  const std::unique_ptr<GMimeParser, Unref> parser(g_mime_parser_new_with_stream(stream.get()));
  return Message(g_mime_parser_construct_message(parser.get(), nullptr));
}

std::string decoded(GMimeObject* object) {
  if (GMIME_IS_MESSAGE_PART(object)) {
    GMimeMessage* inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object));
    char* text = g_mime_object_to_string(GMIME_OBJECT(inner), nullptr);
    std::string out(text);
    g_free(text);
    return with_crlf(out);
  }
  GMimeDataWrapper* content = g_mime_part_get_content(GMIME_PART(object));
  if (content == nullptr) return {};
  const std::unique_ptr<GMimeStream, Unref> stream(g_mime_stream_mem_new());
  g_mime_data_wrapper_write_to_stream(content, stream.get());
  const GByteArray* bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream.get()));
  return {reinterpret_cast<const char*>(bytes->data), bytes->len};
}

class Comparison {
 public:
  explicit Comparison(const Draft& draft) : draft_(draft), composed_(compose(draft)) {}

  void run() {
    ASSERT_EQ(wire_fault(composed_.mime), "");
    const Message message = parse(composed_.mime);
    ASSERT_NE(message, nullptr);
    addresses("From", g_mime_message_get_from(message.get()), {draft_.from});
    addresses("To", g_mime_message_get_to(message.get()), draft_.to);
    addresses("Cc", g_mime_message_get_cc(message.get()), draft_.cc);
    addresses("Reply-To", g_mime_message_get_reply_to(message.get()), draft_.reply_to);
    EXPECT_EQ(text_of(g_mime_message_get_subject(message.get())), draft_.subject);
    EXPECT_EQ('<' + text_of(g_mime_message_get_message_id(message.get())) + '>', draft_.message_id);
    GDateTime* date = g_mime_message_get_date(message.get());
    ASSERT_NE(date, nullptr);
    EXPECT_EQ(g_date_time_to_unix(date), draft_.date / 1000);
    for (const auto& [name, value] : draft_.headers) {
      EXPECT_EQ(text_of(g_mime_object_get_header(GMIME_OBJECT(message.get()), name.c_str())), value)
          << name;
    }
    top_ = g_mime_message_get_mime_part(message.get());
    whole(top_);
  }

 private:
  void addresses(const char* field, InternetAddressList* list,
                 const std::vector<sdk::Mailbox>& wanted) {
    if (wanted.empty() && std::string_view(field) == "To" && draft_.cc.empty()) {
      ASSERT_EQ(internet_address_list_length(list), 1) << field;
      EXPECT_TRUE(INTERNET_ADDRESS_IS_GROUP(internet_address_list_get_address(list, 0)));
      return;
    }
    ASSERT_EQ(internet_address_list_length(list), static_cast<int>(wanted.size())) << field;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      InternetAddress* address = internet_address_list_get_address(list, static_cast<int>(i));
      ASSERT_TRUE(INTERNET_ADDRESS_IS_MAILBOX(address));
      EXPECT_EQ(text_of(internet_address_get_name(address)), wanted[i].name) << field;
      // GMime shows A-labels as U-labels unless it is asked for the former.
      auto* mailbox = INTERNET_ADDRESS_MAILBOX(address);
      EXPECT_EQ(text_of(is_ascii(wanted[i].address) ? internet_address_mailbox_get_idn_addr(mailbox)
                                                    : internet_address_mailbox_get_addr(mailbox)),
                wanted[i].address)
          << field;
    }
  }

  // The children of a multipart of this type; null when it is not one of `count` children.
  GMimeMultipart* multipart(GMimeObject* object, const char* subtype, std::size_t count) {
    GMimeContentType* type = g_mime_object_get_content_type(object);
    EXPECT_TRUE(g_mime_content_type_is_type(type, "multipart", subtype)) << subtype;
    if (!GMIME_IS_MULTIPART(object)) return nullptr;
    GMimeMultipart* parts = GMIME_MULTIPART(object);
    EXPECT_EQ(g_mime_multipart_get_count(parts), static_cast<int>(count)) << subtype;
    return g_mime_multipart_get_count(parts) == static_cast<int>(count) ? parts : nullptr;
  }

  void text(GMimeObject* object, const char* subtype, const std::string& wanted) {
    GMimeContentType* type = g_mime_object_get_content_type(object);
    ASSERT_TRUE(g_mime_content_type_is_type(type, "text", subtype));
    EXPECT_EQ(text_of(g_mime_content_type_get_parameter(type, "charset")), "utf-8");
    std::string content = with_crlf(wanted);
    const std::string got = decoded(object);
    // A mail ends with a line end, whatever its text does.
    if (object == top_ && !content.ends_with("\r\n") && got.ends_with("\r\n")) content += "\r\n";
    EXPECT_EQ(got, content);
  }

  void attachment(GMimeObject* object, const sdk::Attachment& wanted) {
    GMimeContentDisposition* disposition = g_mime_object_get_content_disposition(object);
    ASSERT_NE(disposition, nullptr);
    EXPECT_EQ(text_of(g_mime_content_disposition_get_disposition(disposition)),
              wanted.is_inline ? "inline" : "attachment");
    EXPECT_EQ(text_of(g_mime_content_disposition_get_parameter(disposition, "filename")),
              wanted.filename);
    EXPECT_EQ(text_of(g_mime_object_get_content_id(object)), wanted.content_id);
    char* raw_type = g_mime_content_type_get_mime_type(g_mime_object_get_content_type(object));
    const std::string type = ascii_lower(raw_type);
    g_free(raw_type);
    if (type == "message/rfc822") {
      EXPECT_EQ(wanted.content_type, "message/rfc822");
      EXPECT_EQ(decoded(object), with_crlf(wanted.content));
      return;
    }
    const std::string declared =
        ascii_lower(wanted.content_type).substr(0, wanted.content_type.find(';'));
    EXPECT_EQ(type, declared == "message/rfc822" ? "application/octet-stream" : declared);
    EXPECT_EQ(decoded(object), wanted.content);
  }

  void html(GMimeObject* object) {
    if (related_.empty()) return text(object, "html", draft_.html);
    GMimeMultipart* parts = multipart(object, "related", 1 + related_.size());
    ASSERT_NE(parts, nullptr);
    text(g_mime_multipart_get_part(parts, 0), "html", draft_.html);
    for (std::size_t i = 0; i < related_.size(); ++i) {
      attachment(g_mime_multipart_get_part(parts, static_cast<int>(i) + 1), *related_[i]);
    }
  }

  void main_part(GMimeObject* object) {
    if (draft_.html.empty()) return text(object, "plain", draft_.text);
    if (draft_.text.empty()) return html(object);
    GMimeMultipart* parts = multipart(object, "alternative", 2);
    ASSERT_NE(parts, nullptr);
    text(g_mime_multipart_get_part(parts, 0), "plain", draft_.text);
    html(g_mime_multipart_get_part(parts, 1));
  }

  void whole(GMimeObject* object) {
    for (const auto& item : draft_.attachments) {
      (item.is_inline && !draft_.html.empty() ? related_ : mixed_).push_back(&item);
    }
    if (mixed_.empty()) return main_part(object);
    const int first = draft_.text.empty() && draft_.html.empty() ? 0 : 1;
    GMimeMultipart* parts =
        multipart(object, "mixed", mixed_.size() + static_cast<std::size_t>(first));
    ASSERT_NE(parts, nullptr);
    if (first == 1) main_part(g_mime_multipart_get_part(parts, 0));
    for (std::size_t i = 0; i < mixed_.size(); ++i) {
      attachment(g_mime_multipart_get_part(parts, static_cast<int>(i) + first), *mixed_[i]);
    }
  }

  const Draft& draft_;
  Composed composed_;
  GMimeObject* top_ = nullptr;
  std::vector<const sdk::Attachment*> related_;
  std::vector<const sdk::Attachment*> mixed_;
};

TEST(Compose, GMimeReadsBackWhatWasComposed) {
  for (std::uint64_t seed = 0; seed < 1500; ++seed) {
    const Draft draft = sample_draft(seed);
    Comparison(draft).run();
    if (testing::Test::HasFailure()) {
      FAIL() << "seed " << seed << ":\n" << compose(draft).mime.substr(0, 6000);
    }
  }
}

}  // namespace
}  // namespace postern::mail
