// Collateral that an operator gave as files: no network, no cache, no refresh.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collateral/bundle.h"
#include "collateral/source.h"

namespace attestry::collateral {

/// A bundle with the file or folder that it came from.
struct NamedBundle {
  std::string path;
  Bundle bundle;
};

/// All bundles of these paths. Each path is a file or folder as read_bundle_path takes it, or a folder of such files
/// (*.json) and folders, in any depth up to 4. Error `configuration`: a path that cannot be read, a bundle with a
/// problem, or no bundle at all.
base::Result<std::vector<NamedBundle>> read_bundles(const std::vector<std::string>& paths);

/// Immutable after construction, thread-safe.
class FixedSource final : public CollateralSource {
 public:
  /// The same collateral for whatever evidence comes.
  explicit FixedSource(std::shared_ptr<const attestation::Collateral> collateral);

  /// Bundles for several platforms of Intel's, as read_bundles finds them. A quote gets the bundle whose TCB info names
  /// its FMSPC and TEE and whose PCK CRL comes from the CA of its PCK certificate; nothing fitting is
  /// `collateral_missing`, or the business of `otherwise` (may be null, must outlive this), as is all other evidence.
  /// Bundles without any document of Intel's are passed over. Error `configuration`: as of read_bundles, and half a
  /// bundle.
  static base::Result<std::unique_ptr<FixedSource>> by_platform(const std::vector<std::string>& paths,
                                                                CollateralSource* otherwise = nullptr);

  base::Result<std::shared_ptr<const attestation::Collateral>> collateral_for(const attestation::Evidence& evidence,
                                                                              base::UtcTime now,
                                                                              base::Deadline deadline) override;
  void when_ready(
      const attestation::Evidence& evidence, base::UtcTime now, base::Deadline deadline,
      std::move_only_function<void(base::Result<std::shared_ptr<const attestation::Collateral>>)> done) override;

 private:
  /// What is at hand for this evidence; nullopt: `otherwise` is asked.
  std::optional<base::Result<std::shared_ptr<const attestation::Collateral>>> at_hand(
      const attestation::Evidence& evidence) const;

  struct Entry {
    attestation::DcapNeeds answers;
    std::shared_ptr<const attestation::Collateral> collateral;
  };
  FixedSource(std::vector<Entry> entries, CollateralSource* otherwise);

  std::shared_ptr<const attestation::Collateral> any_;  ///< set: for everything
  std::vector<Entry> entries_;
  CollateralSource* otherwise_ = nullptr;
};

}  // namespace attestry::collateral
