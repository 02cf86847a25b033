"""What to do where somebody has changed a resource of the stack.

CloudFormation leaves that: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-drift.html
"""

BY_HAND = "Set it again by hand: a deployment that does not change it leaves it as it is."
AGAIN = "Make it again by hand, as the template has it, and see who has deleted it."
